"""Files of our own in folders we share with others: known by their first line, and never another's overwritten."""

from pathlib import Path

from gender_pipeline.errors import ScheduleError
from gender_pipeline.files import write_text


def write_marked(path: Path, text: str) -> None:
    """Write a file atomically whose first line is its mark.

    Raises:
        ScheduleError: A file of that name is there and has not the same first line.
    """
    if path.exists() and not _has_mark(path, text.splitlines()[0]):
        raise ScheduleError(
            f"{path} is not ours to replace",
            expected=f"the first line {text.splitlines()[0]}",
            remedy="choose another --name, or move that file away",
        )
    write_text(path, text)


def remove_marked(path: Path, mark: str) -> bool:
    """Remove a file if it is there with that first line, and tell whether it was."""
    if not path.is_file() or not _has_mark(path, mark):
        return False
    path.unlink()
    return True


def _has_mark(path: Path, mark: str) -> bool:
    return path.read_text("utf-8", errors="replace").splitlines()[:1] == [mark]
