from collections.abc import Callable
from pathlib import Path

import pytest

from gender_pipeline.scheduling.entries import SERVERS, Entry

# A kedro that tells what it was called with; what is under test is how its words get there.
KEDRO = """#!/bin/sh
printf '%s\\n' "$(pwd)" "$PATH" "$DO_NOT_TRACK" "$@"
"""


@pytest.fixture(autouse=True)
def no_servers(monkeypatch) -> None:
    for name in SERVERS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def entry(tmp_path) -> Callable[..., Entry]:
    """Make entries of a project whose path has everything that some reader of it takes for something else."""
    project = tmp_path / 'it\'s 100% "odd" $HOME {{ x }} #1'
    (project / "data").mkdir(parents=True)
    kedro = project / ".venv" / "bin" / "kedro"
    kedro.parent.mkdir(parents=True)
    kedro.write_text(KEDRO)
    kedro.chmod(0o755)

    def make(**changes: object) -> Entry:
        options = {"env": "smoke", "params": "recipe=a b,note=50% 'sure' $x"}
        values = {"name": "nightly", "project": project, "kedro": kedro, "at": "17 3 * * *", "options": options}
        return Entry(**(values | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def program(tmp_path, monkeypatch) -> Callable[[str, str], Path]:
    """Put a shell script first on the PATH."""

    def put(name: str, script: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
        return path

    return put
