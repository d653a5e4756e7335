import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gender_pipeline.__main__ import main
from gender_pipeline.scheduling import airflow
from gender_pipeline.scheduling.entries import Entry

PROJECT = Path(__file__).parents[3]
KEDRO = Path(sys.executable).with_name("kedro")


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch) -> None:
    monkeypatch.chdir(PROJECT)


def call(*words: str) -> Result:
    return CliRunner().invoke(main, ["schedule", *words])


def test_help_has_an_example() -> None:
    assert "Example: gender-pipeline schedule --cron" in call("--help").output


def test_one_scheduler_must_be_named() -> None:
    answer = call("--at", "0 3 * * *")
    assert (answer.exit_code, "name one of --cron, --systemd, --airflow" in answer.stderr) == (2, True)


def test_the_entry_is_printed_alone_and_the_words_on_stderr() -> None:
    answer = call(
        "--cron", "--at", "7 * * * *", "--env", "smoke", "--pipelines", "manifest", "--params", "recipe=quickstart"
    )
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.startswith("7 * * * * cd ")
    assert answer.stdout.count("\n") == 1
    assert f"{KEDRO} run --env smoke --pipelines manifest --params recipe=quickstart >>" in answer.stdout
    assert "crontab -e" in answer.stderr


def test_both_units_are_printed() -> None:
    answer = call("--systemd", "--name", "weekly")
    assert "# ----- weekly.service\n" in answer.stdout
    assert "OnCalendar=*-*-* 3:0:00\n" in answer.stdout


def test_kedro_airflow_fills_the_dag_with_what_we_gave_it() -> None:
    from jinja2 import Template

    entry = Entry(name="nightly", project=PROJECT, kedro=KEDRO, at="0 3 * * *", options={"env": "smoke"})
    expected = Template(airflow.TEMPLATE.read_text()).render(airflow.dag_values(entry))
    answer = call("--airflow", "--name", "nightly", "--env", "smoke")
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.strip() == expected.strip()


def test_a_dag_is_written_and_removed_again(tmp_path) -> None:
    answer = call("--airflow", "--write", "--output", str(tmp_path / "dags"))
    assert answer.exit_code == 0, answer.stderr
    assert [path.name for path in (tmp_path / "dags").iterdir()] == ["gender_pipeline.py"]
    assert call("--airflow", "--remove", "--output", str(tmp_path / "dags")).stdout == "removed gender_pipeline\n"
    answer = call("--airflow", "--remove", "--output", str(tmp_path / "dags"))
    assert (answer.exit_code, answer.stderr) == (
        1,
        "Error: there is no entry gender_pipeline of ours to remove; check --name\n",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--env", "somke"], "there is no environment somke; expected a folder "),
        (["--pipelines", "manifest,trainig"], "there is no such pipeline; expected __default__, manifest, "),
        (["--at", "noon"], "the times are no cron expression; expected "),
        (["--name", "a b"], "the name of the entry is not usable; expected "),
    ],
)
def test_mistakes_that_would_make_every_run_fail_are_found_now(words, message) -> None:
    answer = call("--cron", *words)
    assert (answer.exit_code, answer.stderr.count("\n")) == (1, 1)
    assert answer.stderr.startswith(f"Error: {message}")


def test_outside_a_project_the_error_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = call("--cron")
    assert (answer.exit_code, answer.stderr[:42]) == (1, "Error: this is not a gender_pipeline proje")
