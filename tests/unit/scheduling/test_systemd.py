import itertools
import os
import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from datetime import datetime
from pathlib import Path

import pytest
from cronsim import CronSim

from gender_pipeline.errors import ScheduleError
from gender_pipeline.scheduling.systemd import calendars, install, remove, text, units

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze, of Debian's package systemd")
START = datetime(2026, 1, 1)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Give the folder of user units; no systemd is reachable from it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    return tmp_path / "config" / "systemd" / "user"


def read(unit: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit)
    return parser


def elapses(event: str, count: int) -> list[datetime]:
    """Ask systemd for the next times of a calendar event."""
    command = [ANALYZE or "", "calendar", f"--base-time={START:%F %T}", f"--iterations={count}", event]
    environment = os.environ | {"TZ": "UTC", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    found = re.findall(r"(?:Next elapse|Iter. #\d+): \w+ (\S+ \S+)", done.stdout)
    return [datetime.fromisoformat(time) for time in found]


@needs_systemd
@pytest.mark.parametrize(
    "at",
    [
        *("0 3 * * *", "*/15 8-18 * * mon-fri", "30 4 1-7/2 jan,jul *", "0 0 * * 0", "0 0 * * 7", "5 4 * * sun,wed"),
        *("* * * * *", "0 0 13 * 5", "0 0 1,15 2 mon-tue", "0 0 */2 * 1", "59 23 31 * *"),
    ],
)
def test_systemd_and_cron_start_at_the_same_times(at) -> None:
    ours = sorted({time for event in calendars(at) for time in elapses(event, 30)})[:30]
    assert ours == list(itertools.islice(CronSim(at, START), 30))


@needs_systemd
def test_systemd_finds_no_fault_in_the_units(entry, tmp_path) -> None:
    files = {tmp_path / name: content for name, content in units(entry()).items()}
    for path, content in files.items():
        path.write_text(content)
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    command = [ANALYZE or "", "verify", "--user", "--man=no", *map(str, files)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, env=environment)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_words_are_quoted_as_systemd_reads_them(entry) -> None:
    made = entry()
    service = read(units(made)["nightly.service"])["Service"]
    shell, words = service["ExecStart"].split("' ", 1)
    assert shell == """:/bin/sh -c 'exec "$0" "$@\""""  # the colon: systemd leaves $ to sh
    # Inside double quotes systemd and the shell read \\" alike; %% is a percent sign, and $ is plain.
    assert shlex.split(words.replace("%%", "%")) == list(made.command)
    assert service["WorkingDirectory"] == str(made.project).replace("%", "%%")


def test_a_missed_run_is_made_up_for_and_a_stop_waits_for_the_run(entry) -> None:
    service, timer = map(read, units(entry()).values())
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Timer"]["RandomizedDelaySec"] == "1min"
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert service["Service"]["TimeoutStopSec"] == "2min"
    assert service["Service"]["Type"] == "oneshot"


def test_the_printed_entry_holds_both_files(entry) -> None:
    printed = text(entry())
    for name, content in units(entry()).items():
        assert f"# ----- {name}\n{content}" in printed


def test_install_writes_enables_and_starts_and_remove_undoes_it(entry, folder, program, tmp_path) -> None:
    program("systemctl", f'echo "$@" >> {tmp_path}/calls')
    assert f"written into {folder} and started" in install(entry())
    assert {path.name: path.read_text() for path in folder.iterdir()} == units(entry())
    assert remove("nightly")
    assert not [path for path in folder.iterdir() if path.is_file()]
    assert not remove("nightly")
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == [
        f"--user {words}" for words in ("enable nightly.timer", "daemon-reload", "restart nightly.timer")
    ] + [f"--user {words}" for words in ("stop nightly.timer", "daemon-reload")]


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="needs systemctl, of Debian's package systemd")
def test_without_a_login_session_the_timer_is_enabled_and_the_error_says_what_is_left(entry, folder) -> None:
    with pytest.raises(
        ScheduleError, match=r"systemd has not taken notice; received .*bus.*systemctl --user daemon-reload"
    ):
        install(entry())
    link = folder / "timers.target.wants" / "nightly.timer"
    assert link.resolve() == folder / "nightly.timer"
    with pytest.raises(ScheduleError, match="systemd has not taken notice"):
        remove("nightly")
    assert not [path for path in folder.rglob("*") if not path.is_dir()]


def test_units_of_others_are_neither_overwritten_nor_removed(entry, folder, program) -> None:
    program("systemctl", "")
    folder.mkdir(parents=True)
    (folder / "nightly.service").write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(
        ScheduleError, match=r"nightly\.service is not ours to replace; expected the first line # gender_"
    ):
        install(entry())
    assert not remove("nightly")
    assert [path.name for path in folder.iterdir()] == ["nightly.service"]


@pytest.mark.usefixtures("folder")
def test_without_systemctl_the_error_names_it(entry, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ScheduleError, match="systemctl is not installed; use --cron"):
        install(entry())
