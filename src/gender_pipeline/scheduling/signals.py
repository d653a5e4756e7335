"""A run that is told to stop (Ctrl-C, `kill`, systemd) ends as a run, instead of being cut off."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

_STOP: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Stop:
    """Why a run was stopped, for who comes after the KeyboardInterrupt."""

    reason: str = "stopped before its end"


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a KeyboardInterrupt that names the signal; a second one acts as it would have.

    Outside the main thread, where Python allows no handlers, nothing changes.
    """
    told = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {number: signal.getsignal(number) for number in _STOP}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    # KeyboardInterrupt, for `except Exception` catches much in a run, and must not catch this.
    def stop(number: int, frame: Any) -> None:  # noqa: ARG001 Python calls handlers with both
        restore()
        told.reason = f"stopped by {signal.Signals(number).name}"
        raise KeyboardInterrupt(told.reason)

    for number in _STOP:
        signal.signal(number, stop)
    try:
        yield told
    finally:
        restore()
