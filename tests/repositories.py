"""Small git repositories for tests."""

import subprocess
from pathlib import Path

IDENTITY = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")


def call(folder: Path, *command: str) -> str:
    """Run a command that must succeed; return what it prints."""
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
