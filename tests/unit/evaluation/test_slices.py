import json

import pandas as pd
import pytest

from gender_pipeline.errors import EvaluationError
from gender_pipeline.evaluation import EvaluationSettings, flat_metrics, measure
from gender_pipeline.evaluation.metrics import METRICS
from gender_pipeline.evaluation.slices import interval_text
from prediction_tables import predicted_photos, random_predictions

FAST = EvaluationSettings(n_bootstrap=100)


def tables(**sizes: int) -> pd.DataFrame:
    """Return photos of two sources in every split, as many a source and split as said, two a subject."""
    return pd.concat(
        [
            random_predictions(n_photos, source=source, split=split, photos_each=2, seed=number)
            for number, (split, n_photos) in enumerate(sizes.items())
            for source in ("celeba", "muct")
        ],
        ignore_index=True,
    )


def test_validation_and_test_are_measured_overall_and_by_source() -> None:
    metrics = measure(tables(train=10, validation=20, test=30, excluded=4), FAST)
    assert {split: list(slices) for split, slices in metrics.items()} == {
        "validation": ["all", "celeba", "muct"],
        "test": ["all", "celeba", "muct"],
    }
    assert (metrics["test"]["all"]["photos"], metrics["test"]["all"]["subjects"]) == (60, 30)
    assert (metrics["validation"]["muct"]["photos"], metrics["validation"]["muct"]["subjects"]) == (20, 10)
    assert tuple(metrics["test"]["celeba"]["metrics"]) == METRICS


def test_the_splits_measured_are_a_setting() -> None:
    assert list(measure(tables(train=10, test=10), EvaluationSettings(n_bootstrap=100, splits=("train",)))) == ["train"]


def test_a_split_without_photos_is_left_out() -> None:
    assert list(measure(tables(validation=10), FAST)) == ["validation"]


def test_a_slice_depends_on_its_own_photos_alone() -> None:
    together = tables(validation=20, test=30)
    alone = together[(together["split"] == "test") & (together["source"] == "muct")]
    assert measure(alone, FAST)["test"]["muct"] == measure(together, FAST)["test"]["muct"]


def test_the_order_of_the_rows_does_not_matter() -> None:
    table = tables(test=30)
    given, shuffled = (
        flat_metrics(measure(rows, FAST)) for rows in (table, table.sample(frac=1, random_state=0, ignore_index=True))
    )
    assert shuffled == pytest.approx(given)


def test_subjects_joined_by_near_duplicates_are_one_subject() -> None:
    table = predicted_photos(["male", "female", "male"], [0.9, 0.2, 0.3]).assign(group=["g", "g", "h"])
    assert measure(table, FAST)["test"]["all"]["subjects"] == 2


def test_undefined_numbers_are_none_so_that_the_tree_is_json() -> None:
    metrics = measure(predicted_photos(["female"] * 4, [0.1, 0.2, 0.3, 0.4]), FAST)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    values = metrics["test"]["all"]["metrics"]
    assert values["roc_auc"] == {"value": None, "low": None, "high": None}
    assert values["accuracy"] == {"value": 1.0, "low": 1.0, "high": 1.0}


def test_photos_in_no_measured_split_are_an_error() -> None:
    with pytest.raises(EvaluationError, match="no photos to measure; expected photos in validation or test; received"):
        measure(tables(train=4), FAST)


def test_no_source_may_be_called_all() -> None:
    with pytest.raises(EvaluationError, match=r"a source is called all, .*; give it another name"):
        measure(random_predictions(4, source="all"), FAST)


def test_two_sources_which_mlflow_could_not_tell_apart_are_an_error() -> None:
    table = pd.concat([random_predictions(4, source=source) for source in ("a/b", "a:b")], ignore_index=True)
    with pytest.raises(EvaluationError, match=r"two sources have the same name in MLflow; .* received a/b, a:b"):
        measure(table, FAST)


def test_metrics_are_named_by_split_and_source_and_the_overall_ones_have_bounds() -> None:
    metrics = measure(tables(test=30), FAST)
    flat = flat_metrics(metrics)
    accuracy = metrics["test"]["all"]["metrics"]["accuracy"]
    names = ("test.accuracy", "test.accuracy_low", "test.accuracy_high")
    assert [flat[name] for name in names] == [accuracy["value"], accuracy["low"], accuracy["high"]]
    assert flat["test.celeba.f1"] == metrics["test"]["celeba"]["metrics"]["f1"]["value"]
    assert "test.celeba.f1_low" not in flat


def test_undefined_metrics_are_left_out() -> None:
    flat = flat_metrics(measure(predicted_photos(["female", "female"], [0.1, 0.2]), FAST))
    assert {name for name in flat if name.startswith("test.a.")} == {
        "test.a.loss", "test.a.accuracy", "test.a.balanced_accuracy", "test.a.ece"
    }  # fmt: skip
    assert "test.ece_low" not in flat


@pytest.mark.parametrize(
    ("source", "name"), [("age_gender", "age_gender"), ("my data-2.0", "my data-2.0"), ("a//b:../ß", "a__b_..__")]
)
def test_a_source_keeps_of_its_name_what_mlflow_allows(source: str, name: str) -> None:
    assert f"test.{name}.accuracy" in flat_metrics(measure(random_predictions(4, source=source), FAST))


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ({"value": 0.91234, "low": 0.9, "high": 0.9251}, "0.912 (0.900\N{EN DASH}0.925)"),
        ({"value": 0.05, "low": None, "high": None}, "0.050"),
        ({"value": None, "low": None, "high": None}, "undefined"),
    ],
)
def test_an_interval_is_written_in_brackets(interval: dict[str, float | None], text: str) -> None:
    assert interval_text(interval) == text
