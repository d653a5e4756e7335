import mlflow
import pandas as pd
import pytest

from gender_pipeline.hooks.children import ChildRuns, ChildTable, finite

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
CURVES = pd.DataFrame({"trial": ["trial_00"] * 2, "epoch": [1, 2], "val_loss": [0.9, 0.5]})
TRIAL = ChildTable(name="trial", chapter="training", metrics={"val_loss": "training/kept_val_loss"})
CURVE = ChildTable(name="trial", chapter="training")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("children", artifact_location=str(folder))
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def parent(client):
    experiment = client.get_experiment_by_name("children").experiment_id
    with mlflow.start_run(experiment_id=experiment, log_system_metrics=False) as run:
        yield run.info.run_id


def children_of(client, parent: str) -> dict:
    experiment = client.get_experiment_by_name("children").experiment_id
    found = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    return {run.info.run_name: run for run in found}


def test_every_row_is_a_child_with_its_params_and_metrics(client, parent) -> None:
    ChildRuns().log(TRIALS, TRIAL)
    children = children_of(client, parent)
    assert set(children) == {"trial_00", "trial_01"}
    assert children["trial_00"].data.metrics == {"training/kept_val_loss": 0.5, "training/epochs": 3}
    assert [children[name].data.tags["chosen"] for name in sorted(children)] == ["true", "false"]
    assert children["trial_00"].info.status == "FINISHED"


def test_settings_of_a_recipe_are_called_as_in_every_other_run(client, parent) -> None:
    ChildRuns().log(TRIALS, TRIAL)
    params = children_of(client, parent)["trial_00"].data.params
    assert params == {"recipe.optimizer.learning_rate": "0.01", "test_fold": "0"}


def test_a_child_of_the_same_recipe_has_its_other_settings_too(client, parent) -> None:
    kind = TRIAL.model_copy(update={"same_recipe": True})
    params = {"recipe.optimizer.learning_rate": 0.5, "recipe.seed": 7}
    children = ChildRuns(params=params)
    children.log(TRIALS, kind)
    children.log(CURVES, CURVE)
    logged = children_of(client, parent)["trial_00"].data.params
    assert logged == {"recipe.optimizer.learning_rate": "0.01", "recipe.seed": "7", "test_fold": "0"}


def test_a_row_with_a_problem_is_a_failed_child_that_says_why(client, parent) -> None:
    ChildRuns().log(TRIALS, TRIAL)
    child = children_of(client, parent)["trial_01"]
    assert child.info.status == "FAILED"
    assert child.data.tags["failure"] == "the loss is not finite"
    assert child.data.metrics == {}


def test_curves_come_to_the_child_of_the_same_name_epoch_by_epoch(client, parent) -> None:
    children = ChildRuns()
    children.log(TRIALS, TRIAL)
    children.log(CURVES, CURVE)
    child = children_of(client, parent)["trial_00"]
    history = client.get_metric_history(child.info.run_id, "training/val_loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.9), (2, 0.5)]


def test_a_table_that_grows_adds_what_is_new_and_repeats_nothing(client, parent) -> None:
    children = ChildRuns("a search")
    for table in (TRIALS.head(1), TRIALS, TRIALS):
        children.log(table, TRIAL)
    found = children_of(client, parent)
    assert children.count == len(found) == 2
    history = client.get_metric_history(found["trial_00"].info.run_id, "training/epochs")
    assert [metric.value for metric in history] == [3]
    assert found["trial_00"].data.tags["mlflow.note.content"] == "trial_00, one of the rows of a search."


def test_what_changes_in_a_row_replaces_what_was_there(client, parent) -> None:
    children = ChildRuns()
    children.log(TRIALS.head(1), TRIAL)
    children.log(TRIALS.head(1).assign(chosen=False, epochs=4), TRIAL)
    child = children_of(client, parent)["trial_00"]
    assert (child.data.tags["chosen"], child.data.metrics["training/epochs"]) == ("false", 4)


def test_the_parent_is_still_the_active_run_afterwards(client, parent) -> None:
    ChildRuns().log(TRIALS, TRIAL)
    assert mlflow.active_run().info.run_id == parent
    assert client.get_run(parent).info.status == "RUNNING"


def test_a_metric_has_its_chapter_before_it_and_no_sign_that_mlflow_refuses() -> None:
    kind = ChildTable(name="trained_on", chapter="evaluation", metrics={"seconds": "seconds/training"})
    assert kind.metric_name("test.größe.f1") == "evaluation/test.gr__e.f1"
    assert kind.metric_name("seconds") == "seconds/training"


def test_only_defined_numbers_are_metrics() -> None:
    row = {"a": 1, "b": 0.5, "c": NAN, "d": float("inf"), "e": True, "f": "7", "g": None}
    assert finite(row) == {"a": 1.0, "b": 0.5}
