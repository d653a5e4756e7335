import mlflow
import pandas as pd
import pytest

from gender_pipeline.errors import RegistrationError
from gender_pipeline.registration import Proposal, RegistrationSettings, Verdict, mlflow_moves
from gender_pipeline.registration.mlflow_client import (
    delete_version,
    find_version,
    list_versions,
    load_champion,
    register,
)
from gender_pipeline.registration.mlflow_moves import list_moves, promote, rollback

NAME = "gender-classifier"
FAILING = {"name": "test.f1", "expected": "at least 1", "received": "0", "passed": False}
FAILED = Verdict(passed=False, champion="", checks=[FAILING])
CAPTURED = {"git.commit": "c" * 40, "run.commit": "d" * 40, "reproducible": "true"}
NO_GIT = {"reproducible": "false", "reproducible.why": "the project is no git repository"}


def passed(champion: str = "") -> Verdict:
    return Verdict(passed=True, champion=champion, checks=[])


def propose(model, verdict=None, *, data: str = "d", tags: dict[str, str] | None = None, **settings) -> dict:
    metrics = {"test.accuracy": 0.91234, "test.f1": 0.5}
    with mlflow.start_run(tags=CAPTURED if tags is None else tags):
        return register(Proposal(model, verdict or passed(), "# card", data, metrics, RegistrationSettings(**settings)))


@pytest.fixture(scope="module")
def models(tiny_model):
    return [tiny_model(seed) for seed in range(3)]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch) -> None:
    monkeypatch.setattr(mlflow_moves, "PAUSE_S", 0.0)


@pytest.mark.usefixtures("server")
def test_the_registry_follows_the_verdicts(models, photo_bytes) -> None:
    first = propose(models[0])
    assert (first["version"], first["aliases"], first["reproducible"]) == ("1", ["production", "staging"], True)

    # The same weights on the same data add no version.
    assert propose(models[0], passed("1"))["version"] == "1"

    manual = propose(models[1], passed("1"), promote="manual")
    assert (manual["version"], manual["aliases"], manual["reasons"]) == ("2", ["staging"], [])

    failed = propose(models[2], FAILED)
    assert (failed["version"], failed["aliases"]) == ("3", [])
    assert failed["reasons"] == ["test.f1: expected at least 1, received 0"]
    version = mlflow.MlflowClient().get_model_version(NAME, "3")
    assert (version.tags["gate"], version.tags["gate.reason.1"]) == ("failed", failed["reasons"][0])
    assert version.description == "# card"

    champion = load_champion(NAME)
    assert champion.version == "1"
    assert champion.model.weights_digest == models[0].weights_digest

    # What a server calls: encoded photos in, label and probability out.
    loaded = mlflow.pyfunc.load_model("models:/gender-classifier@production")
    answer = loaded.predict(pd.DataFrame({"image": [photo_bytes, photo_bytes]}))
    assert list(answer.columns) == ["label", "probability", "n_faces", "problem"]
    assert set(answer["label"]) <= {"female", "male"}
    assert answer["probability"].between(0.5, 1).all()

    rows = list_versions(NAME)
    assert [row["version"] for row in rows] == ["3", "2", "1"]
    shown = ("aliases", "accuracy", "f1", "roc_auc", "gate", "reproducible", "recipe", "commit", "data")
    values = ("production", "0.9123", "0.5000", "", "passed", "true", "tiny", "d" * 10, "d")
    assert tuple(rows[2][name] for name in shown) == values


@pytest.mark.usefixtures("server")
def test_a_version_that_cannot_be_rebuilt_takes_no_alias_and_says_why(models) -> None:
    answer = propose(models[0], tags=NO_GIT)
    assert (answer["aliases"], answer["reproducible"], answer["passed"]) == ([], False, True)
    assert answer["reasons"] == [
        "reproducible: expected a run that can be rebuilt from a commit, received the project is no git repository"
    ]
    assert propose(models[1], tags={})["reasons"][0].endswith("received a run that was not captured")
    with pytest.raises(RegistrationError, match="not reproducible: the project is no git repository"):
        promote(NAME, "1", "staging", by="ada", why="")
    # The same model from a run that was captured is a version of its own, with that run's commit.
    again = propose(models[0])
    assert (again["version"], again["aliases"]) == ("3", ["production", "staging"])
    assert propose(models[0], passed("3"), tags=NO_GIT)["version"] == "3"


@pytest.mark.usefixtures("server")
def test_the_latest_verdict_on_a_version_counts(models) -> None:
    propose(models[0], FAILED)
    answer = propose(models[0])
    assert (answer["version"], answer["aliases"]) == ("1", ["production", "staging"])
    tags = mlflow.MlflowClient().get_model_version(NAME, "1").tags
    assert (tags["gate"], "gate.reason.1" in tags) == ("passed", False)


@pytest.mark.usefixtures("server")
def test_making_the_same_model_again_does_not_undo_a_rollback(models) -> None:
    propose(models[0])
    propose(models[1], passed("1"))
    rollback(NAME, by="ada", why="wrong on glasses")
    answer = propose(models[1], passed("1"))
    assert answer["aliases"] == ["previous", "staging"]
    assert answer["reasons"] == ["production: version 2 had it before; gender-pipeline promote brings it back"]
    assert list_moves(NAME)[-1]["why"] == "wrong on glasses"


@pytest.mark.usefixtures("server")
def test_a_killed_registration_is_completed_by_the_next_one(models, monkeypatch) -> None:
    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for method in ("update_model_version", "create_experiment", "set_registered_model_alias"):
        with monkeypatch.context() as patched:
            patched.setattr(mlflow.MlflowClient, method, kill)
            with pytest.raises(KeyboardInterrupt):
                propose(models[0])
        mlflow.end_run()
    answer = propose(models[0])
    assert (answer["version"], answer["aliases"]) == ("1", ["production", "staging"])
    assert mlflow.MlflowClient().get_model_version(NAME, "1").description == "# card"
    assert len(list_versions(NAME)) == 1


@pytest.mark.usefixtures("server")
def test_a_champion_brings_the_answers_of_the_run_that_made_it(models, tmp_path) -> None:
    table = pd.DataFrame({"image_id": ["a"], "predicted": ["male"]})
    table.to_parquet(tmp_path / "predictions.parquet")
    with mlflow.start_run(tags=CAPTURED) as run:
        register(Proposal(models[0], passed(), "", "d", {}, RegistrationSettings()))
        mlflow.log_artifact(str(tmp_path / "predictions.parquet"), "evaluation")
    assert load_champion(NAME).recorded is None  # how many crops is not known
    mlflow.MlflowClient().log_dict(run.info.run_id, {"evaluation": {"test_crops": 10}}, "parameters.yml")
    champion = load_champion(NAME)
    assert (list(champion.recorded["predicted"]), champion.recorded_crops) == (["male"], 10)


@pytest.mark.usefixtures("server")
def test_an_empty_registry_has_no_champion() -> None:
    assert load_champion(NAME) is None


@pytest.mark.usefixtures("server")
def test_an_unknown_model_or_version_is_one_line(models) -> None:
    with pytest.raises(RegistrationError, match="no model named 'nobody'; run the pipeline first"):
        list_versions("nobody")
    propose(models[0], promote="manual")
    assert find_version(NAME, "1") == find_version(NAME, "@staging") == "1"
    for text in ("2", "@production", "one", "@", "@best", ""):
        with pytest.raises(RegistrationError, match=f"gender-classifier has no version {text}"):
            find_version(NAME, text)


@pytest.mark.usefixtures("server")
def test_a_version_that_holds_an_alias_cannot_be_deleted(models) -> None:
    propose(models[0])
    propose(models[1], passed("1"))
    propose(models[2], FAILED)
    with pytest.raises(RegistrationError, match=r"version 2 cannot be deleted; .* the holder of production, staging"):
        delete_version(NAME, "2")
    with pytest.raises(RegistrationError, match=r"version 1 cannot be deleted; .* the holder of previous"):
        delete_version(NAME, "1")
    delete_version(NAME, "3")
    assert [row["version"] for row in list_versions(NAME)] == ["2", "1"]


def test_a_champion_whose_files_are_gone_is_an_error_that_names_it(server, models) -> None:
    propose(models[0])
    for path in server.rglob("network.keras"):
        path.unlink()
    with pytest.raises(RegistrationError, match="version 1 holds 'production' but cannot be loaded"):
        load_champion(NAME)
