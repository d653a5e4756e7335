"""Who moves a version: the person git knows, or else the user of the operating system."""

import getpass
import subprocess


def mover() -> str:
    """Return `Name <email>` of git's configuration, or else the user's name."""
    name, email = _git_config("user.name"), _git_config("user.email")
    if not name:
        return email or _os_user()
    return f"{name} <{email}>" if email else name


def _git_config(key: str) -> str:
    try:
        done = subprocess.run(["git", "config", key], capture_output=True, check=False, text=True)  # noqa: S603, S607 own words
    except OSError:
        return ""  # git is not installed
    return done.stdout.strip()


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"  # a container whose user has no name
