"""Where a run comes from: commit, parameters, lock file, versions, hardware."""

import json
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from gender_pipeline.evaluation.latency import n_cores, processor_name
from gender_pipeline.files import file_digest, text_digest
from gender_pipeline.schema import plain

# https://user:password@host:port/owner/name.git, ssh://git@host:port/owner/name.git, git@host:owner/name.git
_REMOTE: Final = re.compile(
    r"(?:https?://(?:[^/]*@)?(?P<web>[\w.-]+(?::\d+)?)/|ssh://(?:[^/]*@)?(?P<ssh>[\w.-]+)(?::\d+)?/"
    r"|[\w.-]+@(?P<scp>[\w.-]+):)(?P<path>[\w.~/-]+?)(?:\.git)?/?"
)
PACKAGES = ("kedro", "mlflow", "dvc", "tensorflow", "keras", "great-expectations", "scikit-learn", "numpy", "pandas")


def provenance(project: Path) -> dict[str, str]:
    """Return run tags: `git.*`, `lock.digest`, `version.*` and `hardware.*`."""
    lock = project / "requirements" / "lock.txt"
    return {
        **git_state(project),
        "lock.digest": file_digest(lock) if lock.is_file() else "unknown",
        "version.python": platform.python_version(),
        **{f"version.{name}": version(name) for name in PACKAGES},
        **_hardware(),
    }


def git_state(project: Path) -> dict[str, str]:
    """Return `git.commit` and `git.dirty`, `unknown` outside git and before the first commit; `git.url` is its page."""
    commit = _git(project, "rev-parse", "--verify", "HEAD")
    status = _git(project, "status", "--porcelain")
    if commit is None or status is None:
        return {"git.commit": "unknown", "git.dirty": "unknown"}
    state = {"git.commit": commit, "git.dirty": str(bool(status)).lower(), "mlflow.source.git.commit": commit}
    url = commit_url(_git(project, "remote", "get-url", "origin") or "", commit)
    return state | {"git.url": url} if url else state


def commit_url(remote: str, commit: str) -> str:
    """Return a commit's page at a host like GitHub or GitLab, without the remote's credentials.

    Args:
        remote: Address of the git remote, over HTTP or SSH.
        commit: 40 hex digits.

    Returns:
        The address; empty for a remote without pages, such as a folder.
    """
    found = _REMOTE.fullmatch(remote)
    return f"https://{found['web'] or found['ssh'] or found['scp']}/{found['path']}/commit/{commit}" if found else ""


def parameters_digest(parameters: Mapping[str, Any]) -> str:
    """Return the sha256 of resolved parameters, typed or plain; the order of their keys does not count."""
    return text_digest(json.dumps(plain(parameters), sort_keys=True))


def _git(project: Path, *arguments: str) -> str | None:
    try:
        # A project copied into another repository must not take that one's commit for its own.
        top = _run(project, "rev-parse", "--show-toplevel")
        return _run(project, *arguments) if Path(top).resolve() == project.resolve() else None
    except (OSError, subprocess.CalledProcessError):
        return None


def _run(project: Path, *arguments: str) -> str:
    command = ["git", "-C", str(project), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603 own words


def _hardware() -> dict[str, str]:
    import psutil

    return {
        "hardware.processor": processor_name(),
        "hardware.cores": str(n_cores()),
        "hardware.memory_gib": f"{psutil.virtual_memory().total / 2**30:.1f}",
        "hardware.system": platform.platform(),
    }
