from types import SimpleNamespace

import mlflow
import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset

from gender_pipeline.datasets import FileDataset, FolderDataset
from gender_pipeline.hooks.tracking import TrackingHooks

PARAMETERS = {
    "recipe": "tiny",
    "data_note": "Drawn faces.",
    "evaluation": {"confidence": 0.95},
    "training": {
        "name": "tiny",
        "backbone": "vgg16",
        "weights": "imagenet",
        "image_size_px": 224,
        "trainable": "head",
        "optimizer": {"learning_rate": 0.01},
    },
}
TRIALS = pd.DataFrame({"trial": ["trial_00"], "val_loss": [0.5], "chosen": [True]})


@pytest.fixture
def catalog(tmp_path) -> DataCatalog:
    children = {"mlflow": "search", "mlflow_children": {"name": "trial", "chapter": "training"}}
    docs = {"mlflow": "validation", "mlflow_file": "data_docs/data_docs.html"}
    return DataCatalog(
        {
            "parameters": MemoryDataset(PARAMETERS),
            "quarantine": FileDataset(filepath=str(tmp_path / "quarantine.csv"), metadata={"mlflow": "validation"}),
            "trials": FileDataset(filepath=str(tmp_path / "trials.csv"), metadata=children),
            "registered_model": FileDataset(filepath=str(tmp_path / "registered_model.json")),
            "data_docs": FolderDataset(filepath=str(tmp_path / "gx"), metadata=docs),
            "pictures": FolderDataset(filepath=str(tmp_path / "pictures"), metadata={"mlflow": "evaluation/pictures"}),
        }
    )


@pytest.fixture
def hooks(tmp_path, catalog):
    """Return hooks in an open run, as `MlflowRun` leaves it."""
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = mlflow.create_experiment("test", artifact_location=(tmp_path / "a").as_uri())
    hooks = TrackingHooks()
    hooks.after_context_created(SimpleNamespace(project_path=tmp_path))
    with mlflow.start_run(experiment_id=experiment, run_name="__default__", log_system_metrics=False):
        hooks.before_pipeline_run({"env": "smoke", "pipeline_names": None}, catalog)
        yield hooks
    mlflow.set_tracking_uri(None)


def current():
    return mlflow.get_run(mlflow.active_run().info.run_id)


def save(hooks: TrackingHooks, catalog: DataCatalog, name: str, data: object) -> None:
    catalog.save(name, data)
    hooks.after_dataset_saved(name, data)


def artifacts(folder: str | None = None) -> list[str]:
    return [file.path for file in mlflow.MlflowClient().list_artifacts(current().info.run_id, folder)]


def test_a_run_is_named_and_described_and_its_params_are_those_of_the_recipe(hooks) -> None:  # noqa: ARG001
    data = current().data
    assert (data.tags["mlflow.runName"], data.tags["env"], data.tags["pipelines"]) == ("tiny (smoke)", "smoke", "")
    assert data.tags["mlflow.note.content"].startswith("Recipe **tiny**: head trained on vgg16")
    assert data.params["recipe.optimizer.learning_rate"] == "0.01"
    assert all(name.startswith("recipe.") for name in data.params)
    assert len(data.tags["parameters.digest"]) == 64
    assert artifacts() == ["parameters.yml"]


def test_a_run_of_some_chapters_is_named_after_them(hooks, catalog) -> None:
    hooks.before_pipeline_run({"env": None, "pipeline_names": {"search", "evaluation"}}, catalog)
    assert current().data.tags["mlflow.runName"] == "tiny (base): evaluation, search"
    assert current().data.tags["pipelines"] == "evaluation,search"


def test_a_run_is_named_after_what_was_asked_of_the_recipe(hooks, catalog) -> None:
    asked = {"recipe": "tiny", "training": {"seed": 2, "head": {"dropout": 0.5}}, "force": True}
    hooks.before_pipeline_run({"env": None, "pipeline_names": None, "runtime_params": asked}, catalog)
    assert current().data.tags["mlflow.runName"] == "tiny (base): seed=2, head.dropout=0.5"


def test_no_tag_says_where_programs_are_on_this_machine(hooks) -> None:  # noqa: ARG001
    assert current().data.tags["mlflow.source.name"] == "kedro run"


def test_the_experiment_opens_with_its_training_runs(hooks) -> None:  # noqa: ARG001
    experiment = mlflow.get_experiment(current().info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_a_file_a_folder_or_one_file_of_it_is_an_artifact_where_metadata_says_so(hooks, catalog) -> None:
    save(hooks, catalog, "quarantine", pd.DataFrame({"reason": ["blank"]}))
    save(hooks, catalog, "data_docs", {"data_docs/data_docs.html": b"1", "data_docs/index.html": b"2"})
    save(hooks, catalog, "pictures", {"roc.png": b"1"})
    assert artifacts("validation") == ["validation/data_docs.html", "validation/quarantine.csv"]
    assert artifacts("evaluation/pictures") == ["evaluation/pictures/roc.png"]
    hooks.after_pipeline_run()
    assert "/artifacts/validation/data_docs.html)" in current().data.tags["mlflow.note.content"]


def test_the_rows_of_a_table_are_child_runs_that_the_description_counts(hooks, catalog) -> None:
    save(hooks, catalog, "trials", TRIALS)
    hooks.after_pipeline_run()
    assert "- 1 child runs, one a row of `trials`" in current().data.tags["mlflow.note.content"]
    children = mlflow.MlflowClient().search_runs(
        [current().info.experiment_id], f"tags.mlflow.parentRunId = '{current().info.run_id}'"
    )
    assert [child.data.metrics for child in children] == [{"training/val_loss": 0.5}]


def test_a_version_says_which_run_it_comes_from_however_often_it_is_proposed(hooks, catalog, tmp_path) -> None:
    client, run_id = mlflow.MlflowClient(), mlflow.active_run().info.run_id
    client.create_registered_model("m")
    client.create_model_version("m", (tmp_path / "model").as_uri(), run_id, description="# card")
    answer = {"name": "m", "version": "1", "run_id": run_id, "aliases": [], "passed": True, "reasons": []}
    for _ in range(2):
        save(hooks, catalog, "registered_model", answer)
    text = client.get_model_version("m", "1").description
    assert text.startswith("# card\n\n## Where it comes from\n\n- Run [tiny (smoke)](#/experiments/")
    assert text.count("Where it comes from") == 1
    assert "- Commit unknown" in text
    hooks.after_pipeline_run()
    assert current().data.tags["mlflow.note.content"].startswith("Gate **passed**: [m version 1]")


def test_what_a_run_starts_from_is_logged_unless_it_made_it(hooks) -> None:
    hooks.after_dataset_loaded("model", SimpleNamespace(weights_digest="old"))
    assert current().data.tags["weights.digest"] == "old"
    hooks.after_dataset_saved("model", SimpleNamespace(weights_digest="new"))
    hooks.after_dataset_loaded("model", SimpleNamespace(weights_digest="old"))
    assert current().data.tags["weights.digest"] == "new"


def test_a_run_that_fails_says_where_and_why(hooks) -> None:
    error = ValueError("too few photos")
    hooks.on_node_error(error, SimpleNamespace(name="pass_gate"))
    hooks.on_pipeline_error(error, None)
    assert current().data.tags["failure"] == "ValueError: too few photos"
    note = current().data.tags["mlflow.note.content"]
    assert note.startswith("**Failed** in pass_gate:\n\n```\nValueError: too few photos\n```")


def test_without_a_run_nothing_is_logged(catalog) -> None:
    hooks = TrackingHooks()
    hooks.before_pipeline_run({"env": None, "pipeline_names": ["splitting"]}, catalog)
    hooks.after_dataset_loaded("model", None)
    save(hooks, catalog, "trials", TRIALS)
    hooks.on_node_error(ValueError(), SimpleNamespace(name="n"))
    hooks.on_pipeline_error(ValueError(), None)
    hooks.after_pipeline_run()
    assert mlflow.active_run() is None
