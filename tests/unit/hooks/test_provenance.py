import shutil
import subprocess

import pytest

from gender_pipeline.hooks.provenance import git_state, provenance


def git(folder, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_a_clean_tree_has_a_commit(repository) -> None:
    state = git_state(repository)
    assert len(state["git.commit"]) == 40
    assert state["git.dirty"] == "false"
    assert state["mlflow.source.git.commit"] == state["git.commit"]


@pytest.mark.parametrize("name", ["a", "new"])
def test_a_changed_or_a_new_file_makes_the_tree_dirty(repository, name) -> None:
    (repository / name).write_text("2")
    assert git_state(repository)["git.dirty"] == "true"


def test_a_folder_without_git_is_unknown(tmp_path) -> None:
    assert git_state(tmp_path) == {"git.commit": "unknown", "git.dirty": "unknown"}


def test_a_copy_inside_another_repository_is_unknown(repository) -> None:
    (repository / "copy").mkdir()
    assert git_state(repository / "copy")["git.commit"] == "unknown"


def test_a_machine_without_git_is_unknown(repository, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert shutil.which("git") is None
    assert git_state(repository)["git.commit"] == "unknown"


def test_provenance_names_lock_versions_and_hardware(tmp_path) -> None:
    tags = provenance(tmp_path)
    assert tags["lock.digest"] == "unknown"
    assert tags["version.keras"].startswith("3.")
    assert int(tags["hardware.cores"]) >= 1
    assert all(isinstance(value, str) and value for value in tags.values())
