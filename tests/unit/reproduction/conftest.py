from pathlib import Path

import pytest

from repositories import IDENTITY, call


@pytest.fixture
def project(tmp_path) -> Path:
    """A git and DVC repository with one commit, as small as one can be."""
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "code.py").write_text("ONE = 1\n")
    (folder / ".gitignore").write_text("data/**\n!data/**/\n!data/**/*.dvc\n")
    call(folder, "git", "init", "--quiet", "--initial-branch", "main")
    call(folder, "dvc", "init", "--quiet")
    call(folder, "git", "add", "--all")
    call(folder, "git", *IDENTITY, "commit", "--quiet", "--message", "start")
    return folder
