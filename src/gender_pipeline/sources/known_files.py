"""Digests of raw files that were read before: a file that did not change is not read again to learn that."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from gender_pipeline.files import file_digest, write_bytes

# Within so long after a write a file may be written again without a change of its size and time: some file systems
# count in steps of two seconds, and clocks of servers differ a little.
_RACY_SECONDS: Final = 4.0


class _Known(NamedTuple):
    size: int
    mtime_ns: int
    sha256: str


_STATE: Final = TypeAdapter(dict[str, _Known])


@contextmanager
def known_digests(state: Path) -> Iterator[Callable[[Path], str]]:
    """Give a function that returns a file's sha256, and reads only files whose size or time of change is another.

    Args:
        state: File that keeps what is known, by the files' absolute paths; it is replaced at the end, with the files
            that were asked for. One that is missing or damaged counts as empty, so it may be deleted at any time.
    """
    before, now = _read(state), dict[str, _Known]()

    def digest(file: Path) -> str:
        path, known = str(file.absolute()), _look(file)
        if (old := before.get(path)) is not None and old[:2] == known[:2]:
            now[path] = old
            return old.sha256
        began = time.time()
        sha256 = file_digest(file)
        # A file that was changed just now, or in the meantime, or in the future, is read again the next time.
        if known == _look(file) and known.mtime_ns / 1e9 < began - _RACY_SECONDS:
            now[path] = known._replace(sha256=sha256)
        return sha256

    yield digest
    if now != before:
        write_bytes(state, _STATE.dump_json(now))


def _look(file: Path) -> _Known:
    status = file.stat()
    return _Known(status.st_size, status.st_mtime_ns, "")


def _read(state: Path) -> dict[str, _Known]:
    try:
        return _STATE.validate_json(state.read_bytes())
    except (OSError, ValidationError):
        return {}
