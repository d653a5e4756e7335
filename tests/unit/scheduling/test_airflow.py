import ast
import shlex
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template

from gender_pipeline.errors import ScheduleError
from gender_pipeline.scheduling.airflow import TEMPLATE, DagFolder


def fill(values: dict[str, str]) -> str:
    return Template(TEMPLATE.read_text()).render(values)


def calls(source: str) -> dict[str, dict[str, Any]]:
    """Return the arguments of a DAG file's two calls; its Python is read, not run."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and node.keywords]
    values = {
        ast.unparse(node.func): {word.arg or "": ast.unparse(word.value) for word in node.keywords} for node in found
    }
    start = values["DAG"].pop("start_date")
    assert start.startswith("datetime(20")
    return {
        call: {name: ast.literal_eval(value) for name, value in values[call].items()}
        for call in ("DAG", "BashOperator")
    }


def as_airflow_reads(value: Any) -> Any:
    """Render what Airflow renders with Jinja: texts, also those in dicts."""
    return (
        {key: as_airflow_reads(part) for key, part in value.items()}
        if isinstance(value, dict)
        else Template(value).render()
    )


@pytest.fixture
def dags(tmp_path) -> DagFolder:
    return DagFolder(tmp_path / "dags", fill)


def test_the_dag_runs_kedro_in_the_project_whatever_its_path(entry, dags) -> None:
    made = entry()
    task = calls(dags.text(made))["BashOperator"]
    assert shlex.split(as_airflow_reads(task["bash_command"])) == ["exec", *made.command]
    assert as_airflow_reads(task["cwd"]) == str(made.project)
    assert as_airflow_reads(task["env"]) == made.environment
    assert task["append_env"] is True  # HOME, and what the operators of Airflow set


def test_the_dag_is_one_run_at_a_time_at_the_entrys_times_and_makes_up_for_no_past(entry, dags) -> None:
    dag = calls(dags.text(entry()))["DAG"]
    assert (dag["dag_id"], dag["schedule"]) == ("nightly", "17 3 * * *")
    assert (dag["catchup"], dag["max_active_runs"], dag["default_args"]["retries"]) == (False, 1, 0)


def test_a_command_ending_in_sh_is_no_file_name(entry, dags) -> None:
    task = calls(dags.text(entry(options={"params": "note=x.sh"})))["BashOperator"]
    assert task["bash_command"].endswith(".sh ")


def test_owner_and_retries_come_from_the_projects_configuration(entry, tmp_path) -> None:
    dags = DagFolder(tmp_path, lambda values: fill(values | {"owner": 'ada\'s "team"', "retries": "2"}))
    assert calls(dags.text(entry()))["DAG"]["default_args"] == {"owner": 'ada\'s "team"', "retries": 2}


def test_the_dag_imports_nothing_of_the_project(entry, dags) -> None:
    imports = [node for node in ast.walk(ast.parse(dags.text(entry()))) if isinstance(node, ast.ImportFrom)]
    assert {node.module.split(".")[0] for node in imports if node.module} == {"airflow", "datetime"}


def test_the_file_of_another_is_neither_overwritten_nor_removed(entry, dags) -> None:
    install_path: Path = dags.folder / "nightly.py"
    assert str(install_path) in dags.install(entry())
    assert dags.install(entry(at="0 6 * * *"))
    assert "0 6 * * *" in install_path.read_text()
    assert dags.remove("nightly")
    assert not dags.remove("nightly")
    install_path.write_text("")
    with pytest.raises(ScheduleError, match=r"nightly\.py is not ours to replace"):
        dags.install(entry())
    assert not dags.remove("nightly")
