import os

import mlflow
import pytest

from gender_pipeline.hooks.stopped import close_open_runs, mark_killed, session_tag


@pytest.fixture(scope="module", autouse=True)
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


def start() -> str:
    return mlflow.start_run(experiment_id="0", nested=True, log_system_metrics=False).info.run_id


def test_runs_of_a_session_have_its_tag_from_their_creation(client, monkeypatch) -> None:
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", '{"own": "1"}')
    with session_tag("host:1:now"):
        run_id = start()
    mlflow.end_run()
    tags = client.get_run(run_id).data.tags
    assert (tags["session"], tags["own"]) == ("host:1:now", "1")
    assert os.environ["MLFLOW_RUN_CONTEXT"] == '{"own": "1"}'


def test_after_a_session_runs_have_no_tag_of_it(client, monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_RUN_CONTEXT", raising=False)
    with session_tag("host:1:now"):
        pass
    assert "MLFLOW_RUN_CONTEXT" not in os.environ
    run_id = start()
    mlflow.end_run()
    assert "session" not in client.get_run(run_id).data.tags


def test_what_a_killed_session_left_open_is_killed_and_nothing_else(client) -> None:
    with session_tag("host:2:then"):
        finished = start()
        mlflow.end_run()
        left = [start(), start()]
    with session_tag("host:3:then"):
        others = start()
    assert mark_killed("host:2:then", "killed: process 2 ended without a word") == 2
    assert mark_killed("host:2:then", "again") == 0
    for run_id in left:
        run = client.get_run(run_id)
        assert (run.info.status, run.data.tags["failure"]) == ("KILLED", "killed: process 2 ended without a word")
    assert client.get_run(finished).info.status == "FINISHED"
    assert client.get_run(others).info.status == "RUNNING"
    close_open_runs("KILLED", "end of the test")


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
def test_open_runs_are_closed_with_the_reason_children_too(client, status) -> None:
    run_ids = [start(), start()]
    close_open_runs(status, "no disk")
    assert mlflow.active_run() is None
    for run_id in run_ids:
        run = client.get_run(run_id)
        assert (run.info.status, run.data.tags["failure"]) == (status, "no disk")
