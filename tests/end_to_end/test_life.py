"""The life of scheduled runs: nothing to do, one at a time, killed, stopped, failed, and somebody is told."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from .conftest import ENVIRONMENT

pytestmark = pytest.mark.long

RUN = ("kedro", "run", "--env", "smoke")
FORCED = (*RUN, "--params", "force=true")
# What `notify` calls: it appends the event and the variables that it was given.
LISTENER = """
import json, os, pathlib, sys
event = json.load(sys.stdin)
assert os.environ["GENDER_PIPELINE_WHAT"] == event["what"]
with pathlib.Path("events.jsonl").open("a") as file:
    file.write(json.dumps(event) + "\\n")
"""


def query(project: Path, sql: str, *values: str) -> list[tuple]:
    with closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as database:
        return database.execute(sql, values).fetchall()


def tags(project: Path, run_id: str) -> dict[str, str]:
    return dict(query(project, "select key, value from tags where run_uuid = ?", run_id))


def status(project: Path, run_id: str) -> str:
    return query(project, "select status from runs where run_uuid = ?", run_id)[0][0]


def open_runs(project: Path) -> list[str]:
    return [run_id for (run_id,) in query(project, "select run_uuid from runs where status = 'RUNNING'")]


def n_runs(project: Path) -> int:
    return query(project, "select count(*) from runs")[0][0]


def events(project: Path) -> list[dict]:
    path = project / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def begin(project: Path) -> tuple[subprocess.Popen, str]:
    """Start a run, wait until it is in its first nodes, and give it with its MLflow run."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(FORCED, cwd=project, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True)
    for line in process.stdout:
        if "Completed node: draw_sample" in line:
            (run_id,) = open_runs(project)[-1:]
            return process, run_id
    raise AssertionError(process.stderr.read())


@pytest.fixture(scope="module")
def project(copy_project, run) -> Path:
    """Run the smoke environment once, with somebody who wants to know."""
    folder = copy_project("life")
    (folder / "listener.py").write_text(LISTENER)
    settings = {"notify": {"command": [sys.executable, "listener.py"]}}
    (folder / "conf/smoke/parameters/run.yml").write_text(yaml.safe_dump(settings))
    run(folder, *RUN)
    return folder


def test_the_first_run_is_told_with_its_result(project) -> None:
    (event,) = events(project)
    (accuracy,) = event["metrics"].values()
    assert (event["env"], event["recipe"], event["version"]) == ("smoke", "quickstart", "1")
    assert event["what"] == ("promoted" if "production" in event["aliases"] else "not_promoted")
    assert 0 <= accuracy <= 1
    assert status(project, event["run_id"]) == "FINISHED"


def test_the_runs_own_settings_are_recorded_nowhere(project) -> None:
    (recorded,) = (project / "mlruns" / "artifacts").rglob("parameters.yml")
    assert not {"force", "notify"} & set(yaml.safe_load(recorded.read_text()))


def test_the_same_again_is_nothing_to_do(project, run) -> None:
    started, before = time.perf_counter(), n_runs(project)
    for count in ("1", "2"):
        said = run(project, *RUN).stdout.splitlines()[-1]
        assert said.startswith("nothing to do: same data, code and parameters as MLflow run ")
        run_id = said.split("MLflow run ")[1][:32]
        assert tags(project, run_id)["unchanged.count"] == count
    assert time.perf_counter() - started < 60  # two cores that others use too; alone it takes 6 s
    assert "Since then there was nothing to do: 2 times" in tags(project, run_id)["mlflow.note.content"]
    assert n_runs(project) == before


def test_one_run_at_a_time_and_the_lock_of_a_killed_one_is_taken_over(project, run) -> None:
    first, killed = begin(project)
    done = run(project, *RUN, "--pipelines", "splitting", ok=False)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith(f"Error: another run is going on in {project}/data/smoke; received process {first.pid} on ")
    assert line.endswith(
        f": kedro run --env smoke --params force=true; wait for its end, or stop it with: kill {first.pid}"
    )
    first.kill()
    first.wait()
    leftovers = [
        project / f"data/smoke/{path}"
        for path in ("manifest/.manifest.parquet.ab_12345.parquet", "training/.model.ab_12345")
    ]
    leftovers[0].touch()
    leftovers[1].mkdir()

    second, stopped = begin(project)
    assert status(project, killed) == "KILLED"
    assert tags(project, killed)["failure"] == f"killed: process {first.pid} ended without a word"
    assert not any(path.exists() for path in leftovers)
    second.send_signal(signal.SIGTERM)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    assert said.splitlines()[-1] == "Error: stopped by SIGTERM"
    assert status(project, stopped) == "KILLED"
    assert tags(project, stopped)["failure"] == "stopped by SIGTERM"
    assert open_runs(project) == []
    assert not (project / "data/smoke/.run.json").exists()
    assert (events(project)[-1]["what"], events(project)[-1]["failure"]) == ("failed", "stopped by SIGTERM")


def test_a_failed_run_is_told_and_leaves_no_last_run_to_be_equal_to(project, run) -> None:
    held = query(project, "select alias, version from registered_model_aliases")
    done = run(project, *RUN, "--params", "sample.n_subjects=0,raw_root=nowhere", ok=False)
    assert done.returncode == 1
    event = events(project)[-1]
    assert event["what"] == "failed"
    assert "the raw root" in event["failure"]
    assert status(project, event["run_id"]) == "FAILED"
    assert not (project / "data/smoke/last_run.json").exists()
    assert query(project, "select alias, version from registered_model_aliases") == held


def test_after_all_that_a_run_comes_to_its_end_and_is_the_last_one(project, run) -> None:
    run(project, *RUN)
    before = n_runs(project)
    assert "nothing to do" in run(project, *RUN).stdout
    run(project, *FORCED, "--pipelines", "splitting")
    assert not (project / "data/smoke/last_run.json").exists()
    assert n_runs(project) == before
    assert query(project, "select count(*) from model_versions") == [(1,)]
