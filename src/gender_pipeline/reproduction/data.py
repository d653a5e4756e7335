"""What reproduction needs of DVC: keep a run's data in the project's cache, and bring it back elsewhere.

Data is stored by content: what an earlier run has kept costs nothing again. A pointer is the text of a `.dvc` file.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from gender_pipeline.errors import ReproductionError
from gender_pipeline.files import write_text
from gender_pipeline.scheduling.run_key import fingerprint

_LINKS: Final = ["reflink", "hardlink", "symlink", "copy"]  # all our writes rename, so links into the cache are safe
_COPIES: Final = "files/md5/.*.tmp"
_QUIET: Final = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true"}


def keep_data(project: Path, folder: Path, inputs: Mapping[str, Path]) -> dict[str, str]:
    """Store files and folders in the project's DVC cache.

    Args:
        project: A DVC repository.
        folder: Where a helper repository lives from run to run; it remembers which files it has read before.
        inputs: What to store, by the path that its pointer will give it.

    Returns:
        Pointers by the same paths.

    Raises:
        ReproductionError: The project is no DVC repository, or DVC fails.
    """
    if not (folder / ".dvc").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _dvc(folder, "init", "--quiet", "--no-scm", "--force")
    use_cache_of(project, folder)
    cache = cache_folder(project)
    return {path: _keep(folder, cache, path, source.resolve()) for path, source in inputs.items()}


def _keep(folder: Path, cache: Path, path: str, source: Path) -> str:
    """Store one file or folder, unless its files have name, size and time of change of those stored the last time."""
    pointer, seen = folder / f"{path}.dvc", folder / f"{path}.seen"
    now = fingerprint(source)
    if seen.is_file() and seen.read_text("utf-8") == now and pointer.is_file():
        text = pointer.read_text("utf-8")
        if _cached(cache, pointer_digest(text)).is_file():
            return text
    pointer.parent.mkdir(parents=True, exist_ok=True)
    before = set(cache.glob(_COPIES))
    _dvc(folder, "add", "--quiet", "--force", str(source), "--out", path)
    # DVC copies each file into the cache, and forgets the copy where the cache holds the file already.
    for copy in set(cache.glob(_COPIES)) - before:
        copy.unlink(missing_ok=True)
    write_text(seen, now)
    return pointer.read_text("utf-8")


def push_data(folder: Path, paths: list[str]) -> None:
    """Push kept data to the default remote.

    Raises:
        ReproductionError: DVC fails.
    """
    _dvc(folder, "push", "--quiet", *(f"{path}.dvc" for path in paths))


def bring_data(folder: Path, paths: list[str]) -> None:
    """Check out data by its pointers, from the cache or else the remote.

    Raises:
        ReproductionError: Neither has it.
    """
    pointers = [f"{path}.dvc" for path in paths]
    try:
        _dvc(folder, "checkout", "--quiet", *pointers)
    except ReproductionError:
        _dvc(folder, "pull", "--quiet", *pointers)


def use_cache_of(project: Path, folder: Path) -> None:
    """Let the DVC repository in a folder use the project's cache and remotes, by its local configuration.

    Raises:
        ReproductionError: One of them is no DVC repository.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(project)) as repo:
            cache, remotes = repo.cache.local_cache_dir, dict(repo.config["remote"])
            default = repo.config["core"].get("remote")
        with Repo(str(folder)) as repo, repo.config.edit("local") as config:
            config["cache"] = {"dir": cache, "type": _LINKS}
            config["remote"] = remotes
            config["core"] = {"remote": default} if default else {}
    except DvcException as error:
        raise ReproductionError("DVC's configuration cannot be read", received=str(error)) from error


def default_remote(project: Path) -> str | None:
    """Return the name of the project's default DVC remote, or None."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        remote: str | None = repo.config["core"].get("remote")
    return remote


def pointer_digest(pointer: str) -> str:
    """Return the md5 a pointer holds; that of a folder ends in `.dir`."""
    return str(_out(pointer)["md5"])


def pointer_files(project: Path, pointer: str) -> dict[str, str]:
    """Return md5 by relative path of what a pointer stands for; empty where the cache does not list it.

    A file alone has the path `.`.
    """
    md5 = pointer_digest(pointer)
    if not md5.endswith(".dir"):
        return {".": md5}
    listing = _cached(cache_folder(project), md5)
    if not listing.is_file():
        return {}
    return {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_text("utf-8"))}


def cache_folder(project: Path) -> Path:
    """Return the folder of the project's DVC cache."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        return Path(repo.cache.local_cache_dir)


def _cached(cache: Path, md5: str) -> Path:
    return cache / "files" / "md5" / md5[:2] / md5[2:]


def _out(pointer: str) -> dict[str, Any]:
    (out,) = yaml.safe_load(pointer)["outs"]
    return dict(out)


def _dvc(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(  # noqa: S603 own words
        command, cwd=folder, env=os.environ | _QUIET, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise ReproductionError(
            f"`dvc {arguments[0]}` failed", received=" ".join(lines[:3]), remedy="see `dvc doctor` and the disk's space"
        )
