import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from cronsim import CronSim

from gender_pipeline.errors import ScheduleError
from gender_pipeline.scheduling.cron import install, remove, text

OTHERS = "MAILTO=ada\n# my own\n0 5 * * * backup # gender_pipeline\n"
# As the real one: a table in a file, and its words where there is none.
SPOOL = """
if [ "$1" = - ]; then cat > {table}; else cat {table} 2>/dev/null || {{ echo no crontab for ada >&2; exit 1; }}; fi
"""


@pytest.fixture(params=["spool", "real"])
def crontab(request, tmp_path, program) -> Iterator[Path]:
    """Give a `crontab` whose table is not the one of who runs the tests."""
    if request.param == "spool":
        yield program("crontab", SPOOL.format(table=tmp_path / "table"))
        return
    real = shutil.which("crontab")
    if real is None or os.geteuid() != 0:
        pytest.skip("needs Debian's cron and root, who may write the crontab of the user nobody")
    for_nobody = program("crontab", f'exec {real} -u nobody "$@"')
    if subprocess.run([for_nobody, "-l"], capture_output=True, check=False).returncode == 0:
        pytest.skip("the user nobody has a crontab")
    yield for_nobody
    subprocess.run([real, "-u", "nobody", "-r"], capture_output=True, check=False)


def table(crontab: Path) -> str:
    return subprocess.run([crontab, "-l"], capture_output=True, check=True, text=True).stdout


def as_cron_runs(line: str) -> str:
    """Run a line's command as cron does: bare % end it, escaped ones are plain, and hardly a variable is set."""
    command = line.split(" ", 5)[5].rstrip("\n").replace("\\%", "\0")
    assert "%" not in command
    bare = ["env", "-i", "HOME=/", "SHELL=/bin/sh", "PATH=/usr/bin:/bin", "/bin/sh", "-c", command.replace("\0", "%")]
    return subprocess.run(bare, capture_output=True, check=True, text=True, cwd="/").stdout


def test_the_line_runs_kedro_in_the_project_whatever_its_path(entry) -> None:
    made = entry()
    assert as_cron_runs(text(made)) == ""
    written = (made.project / "data" / "schedule-nightly.log").read_text().splitlines()
    assert written == [str(made.project), made.environment["PATH"], "true", *made.command[1:]]


def test_the_line_is_one_line_with_the_times_first_and_our_mark_last(entry) -> None:
    line = text(entry(at="17 3 * * mon-fri"))
    assert line.count("\n") == 1
    assert line.endswith(" # gender_pipeline: nightly\n")
    times = CronSim(" ".join(line.split()[:5]), datetime(2026, 1, 2, 12))
    assert next(times) == datetime(2026, 1, 5, 3, 17)


def test_the_exit_code_is_that_of_the_run(entry) -> None:
    made = entry()
    made.kedro.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        as_cron_runs(text(made))


def test_a_large_log_becomes_the_old_one(entry) -> None:
    made = entry()
    log = made.project / "data" / "schedule-nightly.log"
    with log.open("wb") as file:
        file.truncate(11 * 2**20)
    as_cron_runs(text(made))
    as_cron_runs(text(made))
    assert log.with_name("schedule-nightly.log.1").stat().st_size == 11 * 2**20
    assert log.read_text().count(str(made.project)) >= 2


def test_the_first_entry_makes_a_crontab(entry, crontab) -> None:
    assert "written into the crontab" in install(entry())
    assert table(crontab) == text(entry())


def test_other_lines_of_the_crontab_are_kept(entry, crontab) -> None:
    subprocess.run([crontab, "-"], input=OTHERS, check=True, text=True)
    install(entry())
    install(entry(name="weekly", at="0 4 * * 0"))
    install(entry(at="0 6 * * *"))
    assert table(crontab) == OTHERS + text(entry(name="weekly", at="0 4 * * 0")) + text(entry(at="0 6 * * *"))
    assert remove("weekly")
    assert remove("nightly")
    assert table(crontab) == OTHERS
    assert not remove("nightly")


@pytest.mark.parametrize("crontab", ["real"], indirect=True)  # only the real one reads its lines
def test_a_line_that_cron_refuses_leaves_the_crontab_as_it_was(entry, crontab) -> None:
    subprocess.run([crontab, "-"], input=OTHERS, check=True, text=True)
    with pytest.raises(ScheduleError, match=r"the crontab refuses the entry, and is as it was; received .*long"):
        install(entry(options={"params": "x" * 1000}))
    assert table(crontab) == OTHERS


def test_a_crontab_that_cannot_be_read_is_not_taken_for_an_empty_one(entry, program, tmp_path) -> None:
    program("crontab", f"touch {tmp_path}/called-$1; echo you are not allowed >&2; exit 1")
    with pytest.raises(ScheduleError, match="the crontab cannot be read; received you are not allowed"):
        install(entry())
    assert not (tmp_path / "called--").exists()


def test_without_crontab_the_error_names_it(entry, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ScheduleError, match="crontab is not installed; install cron, or use --systemd"):
        install(entry())
