"""What a run depends on as one digest, and the last whole run of a data root with its digest."""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from gender_pipeline.files import file_digest, text_digest, write_text
from gender_pipeline.schema import Settings, plain

STATE_FILE: Final = "last_run.json"
_NOT_CODE: Final = "__pycache__"


class LastRun(Settings):
    """The last whole run that came to its end.

    Attributes:
        key: Digest of all it depended on.
        run_id: Its MLflow run.
        date: When it ended, ISO 8601 in UTC.
        outputs: Names of the data sets it wrote.
    """

    key: str
    run_id: str
    date: str
    outputs: tuple[str, ...]


def run_key(parts: Mapping[str, Any]) -> str:
    """Return the sha256 over what a run depends on, typed settings as what they hold; the order does not matter."""
    return text_digest(json.dumps(plain(parts), sort_keys=True, default=str))


def code_digest(package: Path, lock: Path) -> str:
    """Return the sha256 over the files of a Python package (code, templates, tables) and over the lock file."""
    files = sorted(path for path in package.rglob("*") if path.is_file() and _NOT_CODE not in path.parts)
    named = {path.relative_to(package).as_posix(): file_digest(path) for path in files}
    return run_key({"package": named, "lock": file_digest(lock) if lock.is_file() else None})


def fingerprint(path: Path) -> str:
    """Return the sha256 over name, size and time of change of each file that is not hidden, without reading any.

    Args:
        path: A folder, a file, or what does not exist.
    """
    digest = sha256()
    for file in _files(path):
        status = file.stat() if file.exists() else None
        facts = (status.st_size, status.st_mtime_ns) if status else ()
        digest.update(json.dumps([file.relative_to(path).as_posix(), *facts]).encode())
    return digest.hexdigest()


def read_last_run(folder: Path) -> LastRun | None:
    """Return the last whole run of a data root; None where there was none, or where its file cannot be read."""
    try:
        return LastRun.model_validate_json((folder / STATE_FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def write_last_run(folder: Path, last: LastRun) -> None:
    """Remember a whole run."""
    write_text(folder / STATE_FILE, last.model_dump_json(indent=1) + "\n")


def forget_last_run(folder: Path) -> None:
    """Forget the last whole run: what it wrote is about to be replaced."""
    (folder / STATE_FILE).unlink(missing_ok=True)


def _files(path: Path) -> list[Path]:
    """List all that is not hidden; a linked folder counts at the first level only, as for the readers of raw data."""
    if not path.is_dir():
        return [path]
    starts = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    found = [entry for entry in starts if not entry.is_dir()]
    for start in starts:
        for parent, folders, files in os.walk(start):
            folders[:] = [name for name in folders if not name.startswith(".")]
            found += [Path(parent, name) for name in files if not name.startswith(".")]
    return sorted(found)
