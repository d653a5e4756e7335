import pytest

from gender_pipeline.errors import ScheduleError
from gender_pipeline.scheduling.entries import check_at


@pytest.mark.parametrize("at", ["0 3 * * *", "*/15 8-18 * * mon-fri", "0 0 1,15 * 0", "30 4 1-7/2 JAN *", "0 0 * * 7"])
def test_cron_expressions_are_accepted(at) -> None:
    check_at(at)


@pytest.mark.parametrize(
    "at",
    [
        *("", "daily", "@daily", "0 3 * *", "0 0 3 * * *", "60 3 * * *", "0 24 * * *", "0 3 0 * *", "0 3 30 2 *"),
        *("0 3 L * *", "0 3 * * 1#2", "0 3 * * 8", "0 3 * * fun", "*/0 3 * * *", "5/15 * * * *", "0 3 * * * rm"),
        *("0 3 *\n* *", "0  3 * * *"),
    ],
)
def test_what_some_cron_would_refuse_is_refused(at) -> None:
    with pytest.raises(ScheduleError, match=r"the times are no cron expression; expected minute hour .*; received '"):
        check_at(at)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "../a", "a" * 64, "a\n", "Ä", "a.b", "$(x)"])
def test_a_name_is_one_plain_word(entry, name) -> None:
    with pytest.raises(ScheduleError, match="the name of the entry is not usable"):
        entry(name=name)


@pytest.mark.parametrize("value", ["recipe=a\nb", "a\\b", "a\0b", "a\rb"])
def test_what_no_scheduler_can_hold_is_refused(entry, value) -> None:
    with pytest.raises(ScheduleError, match="without backslashes and control characters"):
        entry(options={"params": value})


def test_options_become_words_of_kedro_run(entry) -> None:
    made = entry(options={"env": "smoke", "pipelines": "manifest,validation"})
    assert made.command == (str(made.kedro), "run", "--env", "smoke", "--pipelines", "manifest,validation")


def test_git_and_the_environment_are_on_the_path(entry, program) -> None:
    git = program("git", "")
    made = entry()
    assert made.environment["PATH"] == f"{made.kedro.parent}:{git.parent}:/usr/bin:/bin"


def test_addresses_of_servers_are_taken_over(entry, monkeypatch) -> None:
    assert "MLFLOW_TRACKING_URI" not in entry().environment
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert entry().environment["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"


def test_secrets_are_not_taken_over(entry, monkeypatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    assert "hush" not in str(entry().environment)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://ada:hush@db/mlflow")
    with pytest.raises(ScheduleError, match=r"MLFLOW_TRACKING_URI holds a password.*an address without one") as error:
        entry()
    assert "hush" not in str(error.value)
