import mlflow
import pytest
from mlflow import MlflowClient

from gender_pipeline.errors import ReproductionError
from gender_pipeline.reproduction.mlflow_runs import close_run, find_run_id, open_run, read_run

COMMIT, CAPTURE = "a" * 40, "b" * 40


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A store with one captured, registered run, version 1 and alias production."""
    folder = tmp_path_factory.mktemp("store")
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    client = MlflowClient()
    experiment = client.create_experiment("faces", artifact_location=(folder / "artifacts").as_uri())
    run = client.create_run(experiment, tags={"run.commit": CAPTURE, "git.commit": COMMIT})
    client.log_metric(run.info.run_id, "evaluation/test.accuracy", 0.9)
    client.set_terminated(run.info.run_id)
    client.create_registered_model("gender-classifier")
    client.create_model_version("gender-classifier", f"runs:/{run.info.run_id}/model", run_id=run.info.run_id)
    client.set_registered_model_alias("gender-classifier", "production", 1)
    yield run.info.run_id
    mlflow.set_tracking_uri(None)


@pytest.mark.parametrize("target", ["gender-classifier/1", "1", "@production", "gender-classifier/@production"])
def test_a_version_or_an_alias_means_its_run(server, target) -> None:
    assert find_run_id(target, "gender-classifier", None) == server


@pytest.mark.parametrize("commit", [COMMIT, CAPTURE])
def test_a_commit_means_the_run_that_was_captured_from_it(server, commit) -> None:
    assert find_run_id(commit[:8], "gender-classifier", commit) == server


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("7", "the registry has no gender-classifier 7; `gender-pipeline models`"),
        ("@staging", "the registry has no gender-classifier @staging"),
        ("other/1", "the registry has no other 1"),
        ("nonsense", "'nonsense' is neither a version nor a run nor a commit; expected such as"),
    ],
)
def test_what_is_not_there_is_an_error(server, target, message) -> None:  # noqa: ARG001 a store must be there
    with pytest.raises(ReproductionError, match=message):
        find_run_id(target, "gender-classifier", None)


def test_a_commit_without_a_run_is_an_error(server) -> None:  # noqa: ARG001 a store must be there
    with pytest.raises(ReproductionError, match="no finished run of commit cccccccccc"):
        find_run_id("c", "gender-classifier", "c" * 40)
    with pytest.raises(ReproductionError, match="the MLflow server has no run 0"):
        read_run("0" * 32)


def test_a_reproduction_is_a_run_in_an_experiment_of_its_own(server) -> None:
    new, experiment = open_run(read_run(server))
    assert experiment == "faces reproductions"
    assert open_run(read_run(server))[1] == experiment
    assert read_run(new).tags["reproduces"] == server
    close_run(new, "it failed", result="failed")
    run = MlflowClient().get_run(new)
    assert (run.info.status, run.data.tags["reproduction"]) == ("FAILED", "failed")
    assert run.info.artifact_uri.startswith("file:")
