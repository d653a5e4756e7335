"""What a killed process left half written: the temporary names of `files.atomic_path` and `files.atomic_folder`."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

# mkstemp and mkdtemp put eight characters between the name and its suffix; `.old` is a folder being replaced.
_TEMPORARY: Final = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}(?P<suffix>\.[^.]+)?")


def sweep(places: Iterable[Path]) -> list[Path]:
    """Remove the leftovers beside and inside of files and folders, and put a folder that was being replaced back.

    Only for places that no other process writes to.

    Args:
        places: What was being written, whether it exists or not.

    Returns:
        What was removed or put back.
    """
    return _remove({leftover for place in places for leftover in (*_beside(place), *_inside(place))})


def sweep_notes(folder: Path) -> list[Path]:
    """As `sweep`, for what lies directly in a folder that is all ours."""
    return _remove({path for path in folder.glob(".*") if _TEMPORARY.fullmatch(path.name)})


def sweep_beside(place: Path) -> list[Path]:
    """As `sweep`, for a folder that holds the files of others."""
    return _remove(set(_beside(place)))


def _remove(leftovers: set[Path]) -> list[Path]:
    for leftover in sorted(leftovers):
        match = _TEMPORARY.fullmatch(leftover.name)
        target = leftover.with_name(match["name"]) if match else leftover
        if match and match["suffix"] == ".old" and not target.exists():
            leftover.rename(target)
        elif leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    return sorted(leftovers)


def _beside(place: Path) -> Iterator[Path]:
    for path in place.parent.glob(".*"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and match["name"] == place.name:
            yield path


def _inside(place: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(place):
        leftovers = [name for name in folders if _TEMPORARY.fullmatch(name)]
        # What is in a leftover goes with it.
        folders[:] = [name for name in folders if name not in leftovers]
        yield from (Path(parent, name) for name in (*leftovers, *files) if _TEMPORARY.fullmatch(name))
