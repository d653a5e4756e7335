"""Caches, worktrees and environments on the disk: what there is, when it was used last, and how it goes."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from gender_pipeline.errors import UpkeepError
from gender_pipeline.reproduction.git import remove_worktree
from gender_pipeline.upkeep.plan import Inode, Kind, Stored

# Below a data root. Only these two: everything else there is the data of the last run.
CACHES: Final[dict[Kind, str]] = {"features": "cache/features", "checkpoints": "cache/checkpoints"}
WORKTREES: Final = Path(".dvc", "tmp", "reproductions")
_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_LOCK_DIGEST: Final = re.compile(r"[0-9a-f]{16}")
_READY: Final = ".ready"  # without it `reproduction.environment` makes an environment anew


def caches(data_root: Path) -> Iterator[Stored]:
    """Yield the files of the caches of a data root; what is linked there from elsewhere is left alone."""
    for kind, place in CACHES.items():
        if not is_own(data_root, data_root / place):
            continue
        yield from (stored_file(kind, path) for path in sorted(_files(data_root / place)))


def worktrees(project: Path) -> Iterator[Stored]:
    """Yield the worktrees that failed reproductions left; a run in one of them keeps it in use."""
    for folder in _folders(project, project / WORKTREES, _RUN_ID):
        files = [path.lstat() for path in _files(folder)]
        used_s = max((_used_s(status) for status in files), default=0.0)
        yield Stored("worktrees", folder, used_s, tuple(_inode(status) for status in files))


def environments(folder: Path) -> Iterator[Stored]:
    """Yield the environments made for other lock files."""
    for own in _folders(folder, folder, _LOCK_DIGEST):
        with suppress(FileNotFoundError):  # without it the environment is being made, or half removed
            status = (own / "pyvenv.cfg").lstat()
            # Every interpreter reads this file when it starts.
            used_s = max(_used_s(status), status.st_atime)
            inodes = tuple(_inode(path.lstat()) for path in _files(own))
            yield Stored("environments", own, used_s, inodes, name=own.name)


def stored_file(kind: Kind, path: Path, name: str = "") -> Stored:
    """Return a file as it lies on the disk."""
    status = path.lstat()
    return Stored(kind, path, _used_s(status), (_inode(status),), name)


def remove_file(path: Path) -> None:
    """Remove a file, and the folders that are empty without it."""
    path.unlink(missing_ok=True)
    with suppress(OSError):  # something is left in it
        path.parent.rmdir()


def remove_reproduction(project: Path, folder: Path) -> None:
    """Remove a worktree that a reproduction left."""
    if folder.parent != project / WORKTREES:
        raise UpkeepError(f"{folder} is not one of our worktrees")
    remove_worktree(project, folder)


def remove_environment(folder: Path) -> None:
    """Remove an environment; half removed it counts as none."""
    (folder / _READY).unlink(missing_ok=True)
    shutil.rmtree(folder)


def is_own(root: Path, folder: Path) -> bool:
    """Tell whether a folder is there and no link leads from the root to it."""
    return folder.is_dir() and folder.resolve() == root.resolve() / folder.relative_to(root)


def _folders(root: Path, place: Path, name: re.Pattern[str]) -> list[Path]:
    if not is_own(root, place):
        return []
    return sorted(path for path in place.iterdir() if name.fullmatch(path.name) and is_own(place, path))


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files; a link to a file is none, and a link to a folder is not followed."""
    for parent, _, names in os.walk(folder):
        paths = (Path(parent, name) for name in names)
        yield from (path for path in paths if path.is_file() and not path.is_symlink())


def _used_s(status: os.stat_result) -> float:
    # A copy may carry an old time of writing; that of its name cannot be old.
    return max(status.st_mtime, status.st_ctime)


def _inode(status: os.stat_result) -> Inode:
    return Inode((status.st_dev, status.st_ino), status.st_nlink, status.st_size)
