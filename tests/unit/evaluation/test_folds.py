import numpy as np
import pandas as pd
import pytest

from gender_pipeline.errors import EvaluationError, SplittingError
from gender_pipeline.evaluation import EvaluationSettings, measure
from gender_pipeline.evaluation.folds import folds_markdown, measure_folds, summarise_folds
from gender_pipeline.evaluation.predictions import predictions_table
from gender_pipeline.evaluation.slices import Slice
from gender_pipeline.splitting import SplittingSettings
from photo_tables import make_alike, two_classes

OWN = SplittingSettings()
FAST = EvaluationSettings(n_bootstrap=100, splits=("test",))


def with_folds(n_folds: int = 5, source: str = "adience", first: int = 0) -> pd.DataFrame:
    """Return 20 subjects a fold with one photo each, female and male by turns."""
    manifest = two_classes(20 * n_folds, source=source)
    return manifest.assign(official_split=[f"fold_{first + number // 20}" for number in range(len(manifest))])


class Judge:
    """Stands for training and testing: remembers the splits, and is wrong once more in every fold."""

    def __init__(self) -> None:
        self.splits: list[pd.DataFrame] = []

    def __call__(self, split: pd.DataFrame) -> Slice:
        self.splits.append(split)
        test = split[split["split"] == "test"]
        p_male = np.where(test["label"] == "male", 0.9, 0.1)
        wrong = len(self.splits)
        p_male[:wrong] = 1 - p_male[:wrong]
        table = predictions_table(test, ("female", "male"), np.stack([1 - p_male, p_male], axis=1))
        return measure(table, FAST)["test"]["all"]


@pytest.fixture(scope="module")
def measured() -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """Give the table of five folds, and the splits it was measured on."""
    judge = Judge()
    return measure_folds(with_folds(), OWN, judge), judge.splits


@pytest.fixture
def folds(measured) -> pd.DataFrame:
    return measured[0].copy()


def test_every_fold_is_tested_once_by_a_model_that_saw_only_the_others(measured) -> None:
    folds, splits = measured
    assert folds["fold"].tolist() == ["fold_0", "fold_1", "fold_2", "fold_3", "fold_4"]
    for number, split in enumerate(splits):
        assert (split["split"].eq("test") == split["official_split"].eq(f"fold_{number}")).all()
        assert {"train", "validation"} <= set(split["split"])
    assert (folds[["photos", "train_photos", "validation_photos", "excluded_photos"]].sum(axis=1) == 100).all()


def test_metrics_have_the_names_that_they_have_in_every_other_run(folds) -> None:
    assert folds["test.accuracy"].tolist() == pytest.approx([0.95, 0.9, 0.85, 0.8, 0.75])
    assert (folds["test.accuracy_low"] < folds["test.accuracy"]).all()


def test_data_sets_without_folds_are_neither_trained_on_nor_tested() -> None:
    judge = Judge()
    others = pd.concat([two_classes(60, source="muct"), with_folds()], ignore_index=True)
    folds = measure_folds(others, OWN, judge)
    assert {source for split in judge.splits for source in split["source"]} == {"adience"}
    assert folds["params.sources"].unique().tolist() == ["adience"]


def test_a_near_duplicate_of_a_tested_photo_is_left_out_of_the_training() -> None:
    judge = Judge()
    folds = measure_folds(make_alike(with_folds(), 0, 25), OWN, judge)
    assert judge.splits[0]["split"][25] == judge.splits[1]["split"][0] == "excluded"
    assert folds["excluded_photos"].tolist() == [1, 1, 0, 0, 0]


def test_no_folds_is_an_error_that_says_what_there_is() -> None:
    celeba = two_classes(4, source="celeba").assign(official_split=["train", "train", "validation", "test"])
    manifest = pd.concat([celeba, two_classes(4, source="muct")], ignore_index=True)
    with pytest.raises(
        EvaluationError,
        match=r"no data set has official folds; expected .*fold_0, fold_1.*; "
        r"received celeba: test, train, validation; muct: none; use a data set that publishes folds",
    ):
        measure_folds(manifest, OWN, Judge())


def test_two_data_sets_with_different_folds_are_an_error_before_any_training() -> None:
    both = pd.concat([with_folds(), with_folds(6, source="other")], ignore_index=True)
    with pytest.raises(
        SplittingError, match="official protocol of adience cannot be followed; expected photos in fold_5"
    ):
        measure_folds(both, OWN, Judge())


def test_folds_need_not_start_at_zero_nor_be_five() -> None:
    folds = measure_folds(with_folds(3, first=1), OWN, Judge())
    assert folds["params.test_fold"].tolist() == [1, 2, 3]


def test_the_summary_has_the_mean_and_the_sample_standard_deviation_over_the_folds(folds) -> None:
    summary = summarise_folds(folds, "quickstart")
    accuracy = summary["metrics"]["accuracy"]
    assert accuracy["mean"] == pytest.approx(0.85)
    assert accuracy["standard_deviation"] == pytest.approx(np.std([0.95, 0.9, 0.85, 0.8, 0.75], ddof=1))
    assert (summary["folds"], summary["photos"], summary["sources"]) == (5, 100, "adience")
    assert "each official fold is tested once" in summary["protocol"]


def test_a_metric_that_is_undefined_in_one_fold_has_no_mean(folds) -> None:
    folds.loc[2, "test.roc_auc"] = np.nan
    assert "roc_auc" not in summarise_folds(folds, "quickstart")["metrics"]


def test_the_page_says_how_good_by_which_protocol_and_which_deviation(folds) -> None:
    page = folds_markdown(folds, summarise_folds(folds, "quickstart"))
    assert page.startswith("# quickstart on the 5 folds of adience\n")
    assert "Accuracy **85.00% \N{PLUS-MINUS SIGN} 7.91%**: mean and sample standard deviation (n - 1) over 5" in page
    assert "| fold_4 | 20 | 20 | 0.7500 |" in page
    assert "Protocol: each official fold is tested once" in page
