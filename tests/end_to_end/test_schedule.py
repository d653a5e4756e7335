import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
REPORT = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps([bag.import_errors, {name: dag.task_ids for name, dag in bag.dags.items()}]))
"""


@pytest.fixture(scope="module")
def project(copy_project) -> Path:
    folder: Path = copy_project("50% of it")
    (folder / "data").mkdir()
    return folder


def cron_runs(line: str, home: Path) -> int:
    """Run a crontab line's command as cron does and return its exit code."""
    command = line.split(" ", 5)[5].replace("\\%", "%")
    bare = ["env", "-i", f"HOME={home}", "SHELL=/bin/sh", "PATH=/usr/bin:/bin", "/bin/sh", "-c", command]
    return subprocess.run(bare, check=False, cwd=home).returncode


def test_the_line_for_cron_runs_the_project_in_crons_bare_environment(run, project) -> None:
    words = ("gender-pipeline", "schedule", "--cron", "--env", "smoke", "--pipelines", "manifest")
    assert cron_runs(run(project, *words).stdout, project.parent) == 0
    assert (project / "data" / "smoke" / "manifest").is_dir()
    assert "Pipeline execution completed" in (project / "data" / "schedule-gender_pipeline.log").read_text()


@pytest.fixture(scope="module")
def airflow(run, tmp_path_factory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Install Airflow in an environment of its own, and give a way to call its programs."""
    home = tmp_path_factory.mktemp("airflow")
    python = home / "venv" / "bin" / "python"
    run(PROJECT, "uv", "venv", "--quiet", "--python", sys.executable, str(home / "venv"))
    run(
        PROJECT, "uv", "pip", "sync", "--quiet", "--python", str(python), "--require-hashes", "requirements/airflow.txt"
    )
    environment = {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }

    def call(program: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(python.with_name(program)), *words]
        return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)

    assert call("airflow", "db", "migrate").returncode == 0
    return call


@pytest.mark.airflow
def test_airflow_parses_the_dag_and_runs_the_project(run, project, airflow) -> None:
    dags = Path(airflow("python", "-c", "import os; print(os.environ['AIRFLOW_HOME'])").stdout.strip()) / "dags"
    words = ("gender-pipeline", "schedule", "--airflow", "--write", "--output", str(dags), "--env", "smoke")
    run(project, *words, "--name", "whole")
    run(project, *words, "--name", "failing", "--params", "recipe=quikstart")
    errors, tasks = json.loads(airflow("python", "-c", REPORT, str(dags)).stdout.splitlines()[-1])
    assert (errors, tasks) == ({}, {"whole": ["kedro_run"], "failing": ["kedro_run"]})

    done = airflow("airflow", "dags", "test", "whole")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "state=success" in done.stdout
    assert (project / "data" / "smoke" / "registration").is_dir()

    done = airflow("airflow", "dags", "test", "failing")
    assert "state=failed" in done.stdout
    assert "Command exited with return code 1" in done.stdout
