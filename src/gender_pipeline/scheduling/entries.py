"""What a scheduled run is: when it starts, and its command and environment, the same for every scheduler."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlparse

from gender_pipeline.errors import ScheduleError

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
# Five fields as every cron reads them: cronsim alone would take seconds, L and # as well, which cron refuses.
_VALUE: Final = r"(?:\d+|[A-Za-z]{3})"
_TERM: Final = rf"(?:(?:\*|{_VALUE}-{_VALUE})(?:/\d+)?|{_VALUE})"
_FIELD: Final = rf"{_TERM}(?:,{_TERM})*"
_AT: Final = re.compile(rf"{_FIELD}(?: {_FIELD}){{4}}")
# cron, systemd and /bin/sh each read a backslash in their own way, and none takes a line break inside a word.
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_QUIET: Final = {"DO_NOT_TRACK": "true", "DVC_NO_ANALYTICS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
# Taken over from where the entry is written, for schedulers start with next to no variables. Addresses, no secrets.
SERVERS: Final = ("MLFLOW_TRACKING_URI", "MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A `kedro run` at set times.

    Attributes:
        name: Of the entry, at most 63 of a-z, 0-9, `-` and `_`; each name is one entry in each scheduler.
        project: Absolute path of the project's folder.
        kedro: Absolute path of the environment's `kedro`.
        at: Cron expression of five fields: minute, hour, day of the month, month, day of the week.
        options: Of `kedro run`, name without dashes -> value.

    Raises:
        ScheduleError: The name, the expression, a path or an option cannot be written into an entry.
    """

    name: str
    project: Path
    kedro: Path
    at: str
    options: Mapping[str, str]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ScheduleError(
                "the name of the entry is not usable",
                expected="at most 63 of a-z, 0-9, - and _, the first a letter or digit",
                received=repr(self.name),
            )
        check_at(self.at)
        for word in (str(self.project), *self.command, *self.environment.values()):
            if _UNSAFE.search(word):
                raise ScheduleError(
                    "the entry cannot be written",
                    expected="paths and options without backslashes and control characters",
                    received=repr(word),
                )
        self._check_servers()

    def _check_servers(self) -> None:
        for name in SERVERS:
            if urlparse(os.environ.get(name, "")).password:
                raise ScheduleError(
                    f"{name} holds a password, which would stand in the entry for others to read",
                    expected="an address without one",
                    remedy="keep it in ~/.mlflow/credentials, ~/.pgpass or ~/.aws/credentials",
                )

    @property
    def mark(self) -> str:
        """The comment by which an entry of ours is known among others."""
        return mark(self.name)

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command; nothing in them is quoted."""
        options = (word for name, value in self.options.items() for word in (f"--{name}", value))
        return (str(self.kedro), "run", *options)

    @property
    def environment(self) -> dict[str, str]:
        """The variables the run needs beside those a scheduler sets: where git, dvc and the servers are."""
        git = shutil.which("git")
        folders = [str(self.kedro.parent), *([str(Path(git).parent)] if git else []), "/usr/bin", "/bin"]
        servers = {name: os.environ[name] for name in SERVERS if os.environ.get(name)}
        return {"PATH": ":".join(dict.fromkeys(folders)), **_QUIET, **servers}


def mark(name: str) -> str:
    """Return the comment that marks the entry of a name as ours."""
    return f"# gender_pipeline: {name}"


def check_at(at: str) -> None:
    """Check a cron expression.

    Raises:
        ScheduleError: It has not five fields of numbers, names, ranges, lists and steps, or names no day there is.
    """
    from cronsim import CronSim, CronSimError

    reason = ""
    try:
        CronSim(at, datetime(2000, 1, 1))
    except CronSimError as error:
        reason = f" ({error})"
    if reason or not _AT.fullmatch(at):
        raise ScheduleError(
            "the times are no cron expression",
            expected='minute hour day-of-month month day-of-week, for example "0 3 * * *"',
            received=f"{at!r}{reason}",
        )
