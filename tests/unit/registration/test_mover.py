import getpass
import subprocess

import pytest

from gender_pipeline.registration.mover import mover


@pytest.fixture
def git_config(tmp_path, monkeypatch):
    """Give git a configuration of its own; without a call it is empty."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    return lambda key, value: subprocess.run(["git", "config", key, value], check=True)


def test_a_mover_is_whom_git_knows(git_config) -> None:
    git_config("user.name", "Ada Lovelace")
    assert mover() == "Ada Lovelace"
    git_config("user.email", "ada@example.org")
    assert mover() == "Ada Lovelace <ada@example.org>"


@pytest.mark.usefixtures("git_config")
def test_whom_git_does_not_know_is_the_user(monkeypatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "grace")
    assert mover() == "grace"


def test_without_git_and_without_a_name_a_mover_is_unknown(monkeypatch) -> None:
    def nobody() -> str:
        raise KeyError("no such uid")

    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert mover() == "unknown"
