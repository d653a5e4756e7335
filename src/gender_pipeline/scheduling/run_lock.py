"""One run at a time in a data root: a lock of the operating system, and beside it who holds it.

The lock goes with its process, however that ends. What stays then is the note beside it, and so the next run knows
that the one before was killed.
"""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from pydantic import ValidationError

from gender_pipeline.errors import RunError
from gender_pipeline.files import write_text
from gender_pipeline.scheduling.leftovers import sweep_notes
from gender_pipeline.schema import Settings

LOCK_FILE: Final = ".run.lock"
HOLDER_FILE: Final = ".run.json"


class Holder(Settings):
    """The process that holds a lock.

    Attributes:
        pid: Its number on its host.
        host: Name of the machine.
        since: When it took the lock, ISO 8601 in UTC.
        command: Its command line.
    """

    pid: int
    host: str
    since: str
    command: str

    @property
    def session(self) -> str:
        """A name for the run that no other one has."""
        return f"{self.host}:{self.pid}:{self.since}"


class RunLock:
    """The lock of a data root.

    Args:
        folder: The data root; it is made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        # A run may end in another thread than it began in, so the lock is the object's, not the thread's.
        self._lock = FileLock(folder / LOCK_FILE, timeout=0, thread_local=False)

    def acquire(self) -> Holder | None:
        """Take the lock at once; return the holder before where that was killed.

        Raises:
            RunError: Another process holds it.
        """
        try:
            self._lock.acquire()
        except Timeout as error:
            raise self._refusal(_read_holder(self._folder / HOLDER_FILE)) from error
        # Killed while it wrote who it is, a holder has left no note but a half one.
        sweep_notes(self._folder)
        return _read_holder(self._folder / HOLDER_FILE)

    def announce(self, command: str) -> Holder:
        """Say who holds the lock, once nothing is left to be done about the holder before."""
        since = datetime.now(UTC).isoformat(timespec="milliseconds")
        holder = Holder(pid=os.getpid(), host=platform.node(), since=since, command=command)
        write_text(self._folder / HOLDER_FILE, holder.model_dump_json(indent=1) + "\n")
        return holder

    def release(self) -> None:
        """Give the lock back."""
        (self._folder / HOLDER_FILE).unlink(missing_ok=True)
        self._lock.release()

    def _refusal(self, holder: Holder | None) -> RunError:
        if holder is None:
            return RunError(f"another run has just begun in {self._folder}", remedy="wait for its end")
        return RunError(
            f"another run is going on in {self._folder}",
            received=f"process {holder.pid} on {holder.host} since {holder.since}: {holder.command}",
            remedy=f"wait for its end, or stop it with: kill {holder.pid}",
        )


def _read_holder(path: Path) -> Holder | None:
    try:
        return Holder.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
