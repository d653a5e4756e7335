"""A service and a timer of the user's systemd."""

import os
import subprocess
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path
from typing import Final

from gender_pipeline.errors import ScheduleError
from gender_pipeline.scheduling.entries import Entry, mark
from gender_pipeline.scheduling.marked_files import remove_marked, write_marked

_DAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")

# systemd starts no program with quotes in its path, sh does; the colon keeps $ for sh. KillMode=mixed lets the run
# end its own helpers.
_SERVICE: Final = """\
{mark}
[Unit]
Description=Scheduled run of gender_pipeline ({name})

[Service]
Type=oneshot
WorkingDirectory={project}
Environment={environment}
ExecStart=:/bin/sh -c 'exec "$0" "$@"' {command}
Nice=10
KillMode=mixed
TimeoutStopSec=2min
"""
# Persistent: a run missed while the machine was off is made up for. The delay spreads machines of one timetable.
_TIMER: Final = """\
{mark}
[Unit]
Description=Times of gender_pipeline ({name})

[Timer]
{calendar}
RandomizedDelaySec=1min
Persistent=true

[Install]
WantedBy=timers.target
"""


def text(entry: Entry) -> str:
    """Return both files, each under a comment with its name."""
    return "\n".join(f"# ----- {name}\n{content}" for name, content in units(entry).items())


def units(entry: Entry) -> dict[str, str]:
    """Return the service and the timer as file name -> content."""
    service = _SERVICE.format(
        mark=entry.mark,
        name=entry.name,
        project=_percent(str(entry.project)),
        environment=" ".join(_quote(f"{name}={value}") for name, value in entry.environment.items()),
        command=" ".join(map(_quote, entry.command)),
    )
    calendar = "\n".join(f"OnCalendar={times}" for times in calendars(entry.at))
    timer = _TIMER.format(mark=entry.mark, name=entry.name, calendar=calendar)
    return {f"{entry.name}.service": service, f"{entry.name}.timer": timer}


def calendars(at: str) -> list[str]:
    """Translate a cron expression into systemd's calendar events, all of which count.

    Where neither the day of the month nor that of the week starts with a star, cron runs on days that meet either:
    that takes two events.

    Args:
        at: A cron expression that `entries.check_at` accepts.
    """
    from cronsim import CronSim

    cron = CronSim(at, datetime(2000, 1, 1))
    week = {day % 7 for day in cron.weekdays if isinstance(day, int)}
    weekdays = "" if len(week) == len(_DAYS) else ",".join(_DAYS[day] for day in sorted(week)) + " "
    month, days = _numbers(cron.months, 12), _numbers(cron.days, 31)
    clock = f"{_numbers(cron.hours, 24)}:{_numbers(cron.minutes, 60)}:00"
    if cron.day_and:
        return [f"{weekdays}*-{month}-{days} {clock}"]
    return [f"*-{month}-{days} {clock}", f"{weekdays}*-{month}-* {clock}"]


def install(entry: Entry) -> str:
    """Write the units of the user, enable the timer and start it; return what was done.

    Raises:
        ScheduleError: A unit of that name is not ours, or systemd does not take them.
    """
    for name, content in units(entry).items():
        write_marked(_folder() / name, content)
    timer = f"{entry.name}.timer"
    _systemctl("enable", timer)
    _systemctl("daemon-reload")
    _systemctl("restart", timer)
    return (
        f"written into {_folder()} and started; see `systemctl --user list-timers` and `journalctl --user -u "
        f"{entry.name}`; `loginctl enable-linger` keeps it running while you are not logged in"
    )


def remove(name: str) -> bool:
    """Stop the timer of a name and remove its units, and tell whether they were there.

    Raises:
        ScheduleError: systemd cannot be reached to forget them.
    """
    timer = f"{name}.timer"
    # `systemctl disable` refuses where a killed process left only one of the files: the link is ours to remove.
    removed = [remove_marked(_folder() / file, mark(name)) for file in (timer, f"{name}.service")]
    if any(removed):
        (_folder() / "timers.target.wants" / timer).unlink(missing_ok=True)
        _systemctl("stop", timer)
        _systemctl("daemon-reload")
    return any(removed)


def _folder() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "systemd" / "user"


def _numbers(values: AbstractSet[int], n_all: int) -> str:
    return "*" if len(values) == n_all else ",".join(map(str, sorted(values)))


def _percent(word: str) -> str:
    return word.replace("%", "%%")


def _quote(word: str) -> str:
    escaped = _percent(word).replace('"', r"\"")
    return f'"{escaped}"'


def _systemctl(*words: str) -> None:
    command = ["systemctl", "--user", *words]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 own words
    except FileNotFoundError as error:
        raise ScheduleError("systemctl is not installed", remedy="use --cron") from error
    if done.returncode != 0:
        raise ScheduleError(
            "the files are changed, but systemd has not taken notice",
            received=done.stderr.strip(),
            remedy=f"in a login session of this user: {' '.join(command)}",
        )
