import mlflow
import pandas as pd
import pytest

from gender_pipeline.errors import RegistrationError
from gender_pipeline.registration import Proposal, RegistrationSettings, Verdict
from gender_pipeline.registration.mlflow_client import list_versions, load_champion, register

PASSED = Verdict(passed=True, checks=[])
FAILED = Verdict(passed=False, checks=[{"name": "test.f1", "expected": "at least 1", "received": "0", "passed": False}])


@pytest.fixture
def server(tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = mlflow.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment(experiment_id=experiment)
    yield tmp_path
    mlflow.set_tracking_uri(None)


def propose(model, verdict=PASSED, *, data: str = "d", tags: dict[str, str] | None = None, **settings) -> dict:
    with mlflow.start_run(tags=tags):
        return register(Proposal(model, verdict, "# card", data, RegistrationSettings(**settings)))


@pytest.fixture(scope="module")
def models(tiny_model):
    return [tiny_model(seed) for seed in range(3)]


@pytest.mark.usefixtures("server")
def test_the_registry_follows_the_verdicts(models, photo_bytes) -> None:
    clean = {"git.commit": "c" * 40, "git.dirty": "false"}
    first = propose(models[0], tags=clean)
    assert (first["version"], first["aliases"], first["reproducible"]) == ("1", ["production", "staging"], True)

    # The same weights on the same data add no version.
    assert propose(models[0])["version"] == "1"

    manual = propose(models[1], promote="manual")
    assert (manual["version"], manual["aliases"], manual["reproducible"]) == ("2", ["staging"], False)

    failed = propose(models[2], FAILED)
    assert (failed["version"], failed["aliases"]) == ("3", [])
    assert failed["reasons"] == ["test.f1: expected at least 1, received 0"]
    version = mlflow.MlflowClient().get_model_version("gender-classifier", "3")
    assert (version.tags["gate"], version.tags["gate.reason.1"]) == ("failed", failed["reasons"][0])
    assert version.description == "# card"

    champion = load_champion("gender-classifier")
    assert champion.version == "1"
    assert champion.model.weights_digest == models[0].weights_digest

    # What a server calls: encoded photos in, label and probability out.
    loaded = mlflow.pyfunc.load_model("models:/gender-classifier@production")
    answer = loaded.predict(pd.DataFrame({"image": [photo_bytes, photo_bytes]}))
    assert list(answer.columns) == ["label", "probability"]
    assert set(answer["label"]) <= {"female", "male"}
    assert answer["probability"].between(0.5, 1).all()

    assert [row["version"] for row in list_versions("gender-classifier")] == ["3", "2", "1"]


@pytest.mark.usefixtures("server")
def test_a_killed_registration_is_completed_by_the_next_one(models, monkeypatch) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(mlflow.MlflowClient, "set_registered_model_alias", kill)
        with pytest.raises(KeyboardInterrupt):
            propose(models[0])
    assert load_champion("gender-classifier") is None
    mlflow.end_run()
    assert propose(models[0])["aliases"] == ["production", "staging"]
    assert len(list_versions("gender-classifier")) == 1


@pytest.mark.usefixtures("server")
def test_an_empty_registry_has_no_champion() -> None:
    assert load_champion("gender-classifier") is None


@pytest.mark.usefixtures("server")
def test_an_unknown_model_is_one_line() -> None:
    with pytest.raises(RegistrationError, match="no model named 'nobody'; run the pipeline first"):
        list_versions("nobody")


def test_a_champion_whose_files_are_gone_is_an_error_that_names_it(server, models) -> None:
    propose(models[0])
    for path in server.rglob("network.keras"):
        path.unlink()
    with pytest.raises(RegistrationError, match="version 1 holds 'production' but cannot be loaded"):
        load_champion("gender-classifier")
