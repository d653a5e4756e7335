"""Small git repositories for tests."""

import os
import subprocess
import sys
from pathlib import Path

IDENTITY = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
_PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # of dvc, where no environment is active


def call(folder: Path, *command: str) -> str:
    """Run a command that must succeed; return what it prints."""
    environment = os.environ | {"PATH": _PATH, "DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true"}
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, env=environment)
    return done.stdout.strip()
