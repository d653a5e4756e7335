"""A line in the user's crontab."""

import os
import shlex
import subprocess

from gender_pipeline.errors import ScheduleError
from gender_pipeline.scheduling.entries import Entry, mark

_LOG_LIMIT = "10M"  # a larger log becomes the old one before the next run: two files in all


def text(entry: Entry) -> str:
    """Return the line: times, command and our mark, which is a comment to the shell.

    Output goes to `data/schedule-<name>.log` in the project; a line of cron's own mail means that not even that
    could be opened.
    """
    log = f"data/schedule-{entry.name}.log"
    rotate = f"find {log} -size +{_LOG_LIMIT} -exec mv {log} {log}.1 ';' 2>/dev/null"
    variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in entry.environment.items())
    run = f"{variables} {shlex.join(entry.command)} >>{log} 2>&1"
    command = f"cd {shlex.quote(str(entry.project))} && {{ {rotate}; {run}; }}"
    # To cron a bare % ends the command, even inside quotes.
    return f"{entry.at} {command.replace('%', chr(92) + '%')} {entry.mark}\n"


def install(entry: Entry) -> str:
    """Put the line into the user's crontab in place of the one of the same name; return what was done.

    Raises:
        ScheduleError: There is no crontab, or it refuses the line.
    """
    _write([*_others(_lines(), entry.name), text(entry).rstrip("\n")])
    return f"written into the crontab; see it with `crontab -l`, its output in data/schedule-{entry.name}.log"


def remove(name: str) -> bool:
    """Take the line of a name out of the user's crontab, and tell whether it was there.

    Raises:
        ScheduleError: There is no crontab, or it cannot be read or written.
    """
    lines = _lines()
    others = _others(lines, name)
    if others != lines:
        _write(others)
    return others != lines


def _others(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if not line.endswith(mark(name))]


def _lines() -> list[str]:
    done = _crontab("-l")
    if done.returncode == 0:
        return done.stdout.splitlines()
    if done.stderr.startswith("no crontab for"):
        return []
    # Going on as if it were empty would delete the user's other lines.
    raise ScheduleError("the crontab cannot be read", received=done.stderr.strip())


def _write(lines: list[str]) -> None:
    done = _crontab("-", stdin="".join(f"{line}\n" for line in lines))
    if done.returncode != 0:
        raise ScheduleError(
            "the crontab refuses the entry, and is as it was",
            received=done.stderr.strip(),
            remedy="a line has room for about 1,000 characters: use shorter paths, or --systemd",
        )


def _crontab(argument: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 own words
            ["crontab", argument],  # noqa: S607 wherever the system has it
            input=stdin,
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise ScheduleError("crontab is not installed", remedy="install cron, or use --systemd") from error
