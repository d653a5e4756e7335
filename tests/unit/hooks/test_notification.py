from dataclasses import replace

import mlflow
import pytest
from kedro.io import DataCatalog, MemoryDataset

from gender_pipeline.hooks.notification import RunFacts, failed_event, finished_event

FACTS = RunFacts(project="/faces", host="vm", env="real", recipe="quickstart", pipelines="")
ANSWER = {"name": "gender-classifier", "version": "3", "aliases": ["production", "staging"], "reasons": []}


@pytest.fixture(scope="module", autouse=True)
def run_id(tmp_path_factory):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")
    with mlflow.start_run(experiment_id="0", log_system_metrics=False) as run:
        mlflow.log_metrics({"evaluation/test.accuracy": 0.75, "evaluation/test.celeba.accuracy": 0.5, "seconds/x": 1})
    yield run.info.run_id
    mlflow.set_tracking_uri(None)


def test_a_failure_is_told_with_its_reason(run_id) -> None:
    event = failed_event(replace(FACTS, run_id=run_id), "SourceError: no archive")
    assert (event["what"], event["failure"], event["run_id"]) == ("failed", "SourceError: no archive", run_id)
    assert event["text"] == "Run of quickstart (real) failed on vm: SourceError: no archive"


def test_a_run_without_tracking_is_told_without_metrics() -> None:
    event = failed_event(FACTS, "no disk")
    assert (event["run_id"], event["metrics"]) == ("", {})


def test_a_version_in_production_is_promoted(run_id) -> None:
    event = finished_event(replace(FACTS, run_id=run_id), DataCatalog({"registered_model": MemoryDataset(ANSWER)}))
    assert (event["what"], event["version"], event["metrics"]) == ("promoted", "3", {"test.accuracy": 0.75})
    assert event["text"] == "Run of quickstart (real): gender-classifier version 3 is in production"


@pytest.mark.parametrize(("reasons", "ending"), [(["too bad", "too slow"], "too bad; too slow"), ([], "as configured")])
def test_another_one_is_not_promoted_with_the_reasons(reasons, ending) -> None:
    answer = {**ANSWER, "aliases": ["staging"], "reasons": reasons}
    event = finished_event(FACTS, DataCatalog({"registered_model": MemoryDataset(answer)}))
    assert (event["what"], event["reasons"]) == ("not_promoted", reasons)
    assert event["text"].endswith(f"gender-classifier version 3 was not promoted: {ending}")


def test_the_address_of_the_server_is_told_without_its_password(monkeypatch) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "https://ada:secret@mlflow.example.org")
    assert failed_event(FACTS, "no disk")["tracking_uri"] == "https://mlflow.example.org"
