import mlflow
import pandas as pd
import pytest

from gender_pipeline.hooks.children import ChildRuns

NAN = float("nan")
TRIALS = pd.DataFrame(
    {
        "trial": ["trial_00", "trial_01"],
        "params.optimizer.learning_rate": [0.01, 0.001],
        "params.test_fold": [0, 1],
        "val_loss": [0.5, NAN],
        "epochs": [3, NAN],
        "chosen": [True, False],
        "problem": ["", "the loss is not finite"],
    }
)
CURVES = pd.DataFrame({"trial": ["trial_00"] * 2, "epoch": [1, 2], "training.val_loss": [0.9, 0.5]})


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("children", artifact_location=str(folder))
    mlflow.set_experiment("children")
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def parent(client):  # noqa: ARG001 the database must be there first
    with mlflow.start_run(log_system_metrics=False) as run:
        mlflow.set_tag("mlflow.note.content", "Recipe tiny, search.")
        yield run.info.run_id


def children_of(client, parent: str) -> dict:
    experiment = client.get_experiment_by_name("children").experiment_id
    found = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    return {run.info.run_name: run for run in found}


def test_every_row_is_a_child_with_its_params_and_metrics(client, parent) -> None:
    ChildRuns().log(TRIALS, "trial")
    children = children_of(client, parent)
    assert set(children) == {"trial_00", "trial_01"}
    assert children["trial_00"].data.metrics == {"val_loss": 0.5, "epochs": 3, "chosen": 1}
    assert children["trial_00"].info.status == "FINISHED"


def test_settings_of_a_recipe_are_called_as_in_every_other_run(client, parent) -> None:
    ChildRuns().log(TRIALS, "trial")
    params = children_of(client, parent)["trial_00"].data.params
    assert params == {"recipe.optimizer.learning_rate": "0.01", "test_fold": "0"}


def test_a_row_with_a_problem_is_a_failed_child_that_says_why(client, parent) -> None:
    ChildRuns().log(TRIALS, "trial")
    child = children_of(client, parent)["trial_01"]
    assert child.info.status == "FAILED"
    assert child.data.tags["failure"] == "the loss is not finite"
    assert child.data.metrics == {"chosen": 0}


def test_curves_come_to_the_child_of_the_same_name_epoch_by_epoch(client, parent) -> None:
    children = ChildRuns()
    children.log(TRIALS, "trial")
    children.log(CURVES, "trial")
    child = children_of(client, parent)["trial_00"]
    history = client.get_metric_history(child.info.run_id, "training.val_loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.9), (2, 0.5)]


def test_a_table_saved_again_in_the_same_run_adds_no_child(client, parent) -> None:
    children = ChildRuns()
    for _ in range(2):
        children.log(TRIALS, "trial")
    assert len(children_of(client, parent)) == 2
    note = client.get_run(parent).data.tags["mlflow.note.content"]
    assert note == "Recipe tiny, search. Its child runs: 2, one a trial."


def test_the_parent_is_still_the_active_run_afterwards(client, parent) -> None:
    ChildRuns().log(TRIALS, "trial")
    assert mlflow.active_run().info.run_id == parent
    assert client.get_run(parent).info.status == "RUNNING"
