"""Where a run comes from: commit, lock file, versions, hardware."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from gender_pipeline.evaluation.latency import n_cores, processor_name
from gender_pipeline.files import file_digest

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
    """Return `git.commit` and `git.dirty`; both are `unknown` outside git and before the first commit."""
    commit = _git(project, "rev-parse", "--verify", "HEAD")
    status = _git(project, "status", "--porcelain")
    if commit is None or status is None:
        return {"git.commit": "unknown", "git.dirty": "unknown"}
    return {"git.commit": commit, "git.dirty": str(bool(status)).lower(), "mlflow.source.git.commit": commit}


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
