from types import SimpleNamespace

import mlflow
import pandas as pd
import pytest

from gender_pipeline.hooks.contents import CONTENTS, STARTING_POINTS
from gender_pipeline.hooks.description import Story
from gender_pipeline.training.progress import HISTORY_COLUMNS
from prediction_tables import predicted_photos, split_photos

NAN = float("nan")


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Return a function that logs a data set to a run of its own, and gives run and story."""
    folder = tmp_path_factory.mktemp("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    experiment = mlflow.create_experiment("contents", artifact_location=folder.as_uri())

    def log_content(name: str, data: object):
        story = Story({}, "", [], 0.95)
        with mlflow.start_run(experiment_id=experiment, log_system_metrics=False) as run:
            CONTENTS[name](data, story)
        return mlflow.get_run(run.info.run_id), story

    yield log_content
    mlflow.set_tracking_uri(None)


def test_every_metric_is_called_after_its_chapter(log) -> None:
    slices = {"all": {"metrics": {"accuracy": {"value": 0.5, "low": 0.25, "high": None}}}}
    run, story = log("metrics", {"test": slices})
    assert run.data.metrics == {"evaluation/test.accuracy": 0.5, "evaluation/test.accuracy_low": 0.25}
    assert story.metrics == {"test": slices}


def test_a_history_is_curves_by_epoch_and_what_was_kept(log) -> None:
    rows = [(1, 1, 0.9, 0.5, 0.8, 0.5, 0.01), (2, 1, 0.7, 0.6, 0.6, 0.75, 0.01), (3, 1, 0.6, 0.7, 0.7, 0.7, 0.01)]
    run, _ = log("history", pd.DataFrame(rows, columns=list(HISTORY_COLUMNS)))
    curve = mlflow.MlflowClient().get_metric_history(run.info.run_id, "training/val_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 0.8), (2, 0.6), (3, 0.7)]
    kept = {name: value for name, value in run.data.metrics.items() if "kept" in name or "epochs" in name}
    assert kept == {
        "training/kept_val_loss": 0.6,
        "training/kept_val_accuracy": 0.75,
        "training/kept_epoch": 2,
        "training/epochs": 3,
    }


def test_a_training_without_validation_kept_nothing_in_particular(log) -> None:
    run, _ = log("history", pd.DataFrame([(1, 1, 0.9, 0.5, NAN, NAN, 0.01)], columns=list(HISTORY_COLUMNS)))
    names = {"training/loss", "training/accuracy", "training/learning_rate"}
    assert run.data.metrics.keys() == names


def test_a_split_is_an_input_a_source_and_side_with_digests_and_counts(log) -> None:
    parts = [("train", ["male", "female"]), ("test", ["male", "female", "male"]), ("excluded", ["male"])]
    run, story = log("split_manifest", pd.concat([split_photos(labels, split=split) for split, labels in parts]))
    assert len(run.data.tags["data.digest"]) == 64
    assert run.data.metrics["splitting/test.photos"] == run.data.metrics["splitting/test.subjects"] == 3
    assert run.data.metrics["splitting/excluded.photos"] == 1
    assert run.data.metrics["splitting/stratification_error"] == pytest.approx(0.1)
    inputs = {item.dataset.name: {tag.key: tag.value for tag in item.tags} for item in run.inputs.dataset_inputs}
    assert inputs.keys() == {"a.train", "a.test"}
    assert inputs["a.test"]["photos"] == "3"
    assert story.photos.startswith("Train: 2 photos of 2 subjects (a 2); Test: 3")


def test_validation_says_how_much_stayed_and_what_is_broken(log) -> None:
    numbers = {"photos": 9, "quarantined": 1}
    suites = {name: {"success": name == "a", "numbers": numbers} for name in ("a", "all photos")}
    run, _ = log("validation_report", {"suites": suites})
    expected = {"validation/photos": 9, "validation/quarantined": 1, "validation/broken_suites": 1}
    assert run.data.metrics == expected


def test_weights_and_predictions_have_digests(log) -> None:
    assert log("model", SimpleNamespace(weights_digest="w"))[0].data.tags["weights.digest"] == "w"
    run, _ = log("predictions", predicted_photos(["male"], [0.5]))
    assert len(run.data.tags["predictions.digest"]) == 64


def test_the_trial_that_was_chosen_is_named(log) -> None:
    trials = pd.DataFrame({"trial": ["trial_00", "trial_01"], "chosen": [False, True]})
    assert log("trials", trials)[0].data.tags["search.chosen"] == "trial_01"


def test_folds_are_compared_by_their_means(log) -> None:
    summary = {"metrics": {"accuracy": {"mean": 0.75, "standard_deviation": 0.25}}}
    assert log("fold_summary", summary)[0].data.metrics == {"evaluation/test.accuracy": 0.75}


def test_what_a_run_may_start_from_can_be_logged() -> None:
    assert CONTENTS.keys() >= STARTING_POINTS


def test_an_export_is_a_metric_a_format_and_measure_and_names_the_version(log) -> None:
    formats = {"keras": {"file": "", "accuracy": 0.75}, "int8": {"file": "int8.tflite", "latency_1_ms": 2.5}}
    run, _ = log("export_comparison", {"name": "tiny", "version": "7", "device": "a phone", "formats": formats})
    assert run.data.metrics == {"export/keras.accuracy": 0.75, "export/int8.latency_1_ms": 2.5}
    assert run.data.tags["export.version"] == "7"


def test_a_scoring_says_how_many_and_which_shares_and_by_which_version(log) -> None:
    counted = {"photos": 4, "faces": 3, "without_face": 1, "unreadable": 0, "answers.female": 3}
    run, _ = log("scoring_counts", {"model": "tiny", "version": "7", **counted})
    shares = {"without_face_share": 0.25, "unreadable_share": 0, "answers.female_share": 1}
    assert run.data.metrics == {f"scoring/{name}": value for name, value in {**counted, **shares}.items()}
    assert run.data.tags["model.version"] == "tiny/7"
    run, _ = log("scoring_counts", {"model": "tiny", "version": "7", **dict.fromkeys(list(counted)[:4], 0)})
    assert run.data.metrics["scoring/without_face_share"] == 0
