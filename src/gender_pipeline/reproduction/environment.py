"""The Python environment a commit locked: the present one where it is the same, else one made for it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gender_pipeline.errors import ReproductionError, examples
from gender_pipeline.files import file_digest


def python_for(tree: Path, environments: Path) -> Path:
    """Return an interpreter with the packages that `requirements/lock.txt` of a tree locks.

    Args:
        tree: A checkout of the project.
        environments: Folder of environments made before, one a lock file.

    Raises:
        ReproductionError: There is no lock file, or the packages cannot be installed.
    """
    lock = tree / "requirements" / "lock.txt"
    if not lock.is_file():
        raise ReproductionError(f"{lock} is missing", remedy="name a commit that holds locked requirements")
    if not differing_packages(lock.read_text("utf-8"), installed_versions()):
        return Path(sys.executable)
    folder = environments / file_digest(lock)[:16]
    if not (folder / ".ready").exists():
        _make(folder, tree)
        (folder / ".ready").touch()
    return folder / "bin" / "python"


def environment_variables(tree: Path, python: Path) -> dict[str, str]:
    """Return the process environment in which that interpreter imports the tree's own code, and finds its tools."""
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    return os.environ | {"PYTHONPATH": str(tree / "src"), "PATH": path}


def installed_versions() -> dict[str, str]:
    """Return the versions of the installed packages by canonical name."""
    return {canonicalize_name(package.metadata["Name"]): package.version for package in distributions()}


def differing_packages(lock: str, installed: Mapping[str, str]) -> dict[str, str]:
    """Return what this platform should have in another version: `name==version` -> version installed, or empty.

    Args:
        lock: Text of a requirements file with exact versions, markers and hashes.
        installed: Versions by canonical name.
    """
    wanted = [Requirement(line.split(" \\")[0]) for line in lock.splitlines() if line and line[0] not in " #-"]
    here = [requirement for requirement in wanted if requirement.marker is None or requirement.marker.evaluate()]
    versions = {requirement: installed.get(canonicalize_name(requirement.name), "") for requirement in here}
    return {
        f"{requirement.name}{requirement.specifier}": version
        for requirement, version in versions.items()
        if not version or not requirement.specifier.contains(version, prereleases=True)
    }


def check_environment(project: Path) -> None:
    """Check that what is installed is what the project locks; a package that is not there was not needed.

    Raises:
        ReproductionError: A package is there in another version.
    """
    lock = project / "requirements" / "lock.txt"
    wanted = differing_packages(lock.read_text("utf-8"), installed_versions()) if lock.is_file() else {}
    other = [f"{package} is {version}" for package, version in wanted.items() if version]
    if other:
        raise ReproductionError(
            "the installed packages are not the locked ones",
            expected="those of requirements/lock.txt",
            received=examples(other),
            remedy="make setup, or lock anew: make lock",
        )


def _make(folder: Path, tree: Path) -> None:
    python = folder / "bin" / "python"
    hashed = ("--quiet", "--require-hashes")
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--disable-pip-version-check", *hashed, "-r", "requirements/uv.txt"],
        [str(folder / "bin" / "uv"), "pip", "sync", "--python", str(python), *hashed, "requirements/lock.txt"],
    ):
        done = subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)  # noqa: S603 own words
        if done.returncode != 0:
            raise ReproductionError(
                "the locked packages of the commit cannot be installed",
                received=examples(done.stderr.strip().splitlines()[-3:]),
                remedy="check the network, or the Python version that the commit asks for",
            )
