import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "DO_NOT_TRACK": "true",
    "DVC_NO_ANALYTICS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


@pytest.fixture(scope="session")
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command of the environment; unless told otherwise it must succeed."""

    def call(folder: Path, *command: str, ok: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert not ok or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    return call


@pytest.fixture(scope="session")
def copy_project(tmp_path_factory) -> Callable[[str], Path]:
    """Copy what a user would clone (configuration and pipelines' files, no data) into an empty folder."""

    def copy(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        for part in ("conf", "src", "requirements", ".dvc"):
            shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "tmp", "cache"))
        for part in ("pyproject.toml", "dvc.yaml", ".gitignore", ".dvcignore", ".telemetry"):
            shutil.copy(PROJECT / part, folder / part)
        return folder

    return copy
