import numpy as np
import pandas as pd
import pytest

from gender_pipeline.errors import EvaluationError, TrainingError
from gender_pipeline.evaluation import cross_source
from gender_pipeline.evaluation.cross_source import CrossSourceSettings, cross_source_cells, cross_source_matrix
from gender_pipeline.evaluation.experiment import Experiment
from photo_experiments import FAST, RECIPE, split_table, tiny_experiment

FEW = CrossSourceSettings(min_photos=4)
SIZES = {"a": (8, 4, 8), "b": (6, 4, 4)}
A_HALF = {"value": 0.5, "low": 0.4, "high": 0.6}


class Judged(Experiment):
    """Trains nothing: a model is the list of its sources, and right as often as it is told to be."""

    def train(self, recipe):
        if recipe.sources == ("broken",):
            raise TrainingError("the loss is not finite")
        return recipe.sources

    def test(self, model):
        value = 0.9 if model else 0.8
        return {source: {"metrics": {"accuracy": {**A_HALF, "value": value}}} for source in self.sources()}


def judged(sizes: dict, **changes: object) -> pd.DataFrame:
    experiment = Judged(("female", "male"), split_table(sizes).assign(**changes), None, None, FAST)
    return cross_source_cells(experiment, RECIPE, FEW)


def cell(cells: pd.DataFrame, trained_on: str, tested_on: str) -> pd.Series:
    return cells.set_index(["trained_on", "tested_on"]).loc[(trained_on, tested_on)]


def test_every_source_and_all_together_are_tested_on_every_source() -> None:
    cells = judged(SIZES)
    pairs = cells[["trained_on", "tested_on"]].itertuples(index=False, name=None)
    assert list(pairs) == [(row, column) for row in ("a", "b", "all") for column in ("a", "b")]
    assert cells["train_photos"].tolist() == [8, 8, 6, 6, 14, 14]
    assert cells["test_photos"].tolist() == [8, 4] * 3
    assert cell(cells, "b", "a")["accuracy"] == 0.9
    assert cell(cells, "all", "a")["accuracy"] == 0.8


def test_the_recipes_own_sources_do_not_count() -> None:
    experiment = Judged(("female", "male"), split_table(SIZES), None, None, FAST)
    elsewhere = RECIPE.model_copy(update={"sources": ("c",)})
    assert cross_source_cells(experiment, elsewhere, FEW).equals(judged(SIZES))


def test_a_source_with_few_train_photos_is_a_row_without_results_that_says_so() -> None:
    cells = judged({**SIZES, "few": (2, 2, 4)})
    row = cells[cells["trained_on"] == "few"]
    assert row["accuracy"].isna().all()
    assert set(row["problem"]) == {"2 train photos, fewer than 4"}
    assert cell(cells, "a", "few")["problem"] == ""


def test_a_source_with_few_test_photos_is_a_column_without_results() -> None:
    cells = judged({**SIZES, "few": (8, 2, 2)})
    column = cells[cells["tested_on"] == "few"]
    assert set(column["problem"]) == {"2 test photos, fewer than 4"}
    assert cell(cells, "few", "a")["accuracy"] == 0.9


def test_test_photos_of_one_class_say_nothing() -> None:
    table = split_table(SIZES)
    labels = table["label"].mask((table["source"] == "b") & (table["split"] == "test"), "male")
    cells = judged(SIZES, label=labels)
    assert cell(cells, "a", "b")["problem"] == "test photos of one class only"
    assert np.isnan(cell(cells, "a", "b")["accuracy"])


def test_a_source_that_cannot_be_trained_leaves_the_others_their_rows() -> None:
    cells = judged({**SIZES, "broken": (8, 4, 4)})
    assert set(cells[cells["trained_on"] == "broken"]["problem"]) == {"the loss is not finite"}
    assert cells[cells["trained_on"] != "broken"]["accuracy"].notna().all()


def test_where_nothing_can_be_said_the_reasons_are_the_error() -> None:
    with pytest.raises(EvaluationError, match=r"received a: 2 train photos, fewer than 4; all: 2 train.*min_photos"):
        judged({"a": (2, 2, 2)})


def test_the_matrix_has_a_row_a_model() -> None:
    matrix = cross_source_matrix(judged({**SIZES, "few": (2, 2, 2)}))
    assert matrix["trained_on"].tolist() == ["a", "b", "few", "all"]
    assert matrix["test.b.accuracy"].tolist() == pytest.approx([0.9, 0.9, np.nan, 0.8], nan_ok=True)
    assert matrix["test.b.accuracy_low"].tolist() == pytest.approx([0.4, 0.4, np.nan, 0.4], nan_ok=True)
    assert matrix["problem"].tolist() == ["", "", "2 train photos, fewer than 4", ""]


def test_a_model_learns_from_its_own_source_alone(tmp_path, monkeypatch) -> None:
    seen = {}

    class Watched(Experiment):
        def train(self, recipe):
            model = super().train(recipe)
            seen[recipe.sources] = model.weights_digest
            return model

    tiny = tiny_experiment(tmp_path, SIZES)
    monkeypatch.setattr(cross_source, "tqdm", lambda items, **_: items)
    cells = cross_source_cells(Watched(*vars(tiny).values()), RECIPE, FEW)
    assert cells["accuracy"].between(0, 1).all()
    assert cells["test_subjects"].tolist() == [8, 4] * 3
    assert len(set(seen.values())) == 3
    alone = tiny_experiment(tmp_path, SIZES).restricted_to(["a"])
    assert alone.train(RECIPE).weights_digest == seen[("a",)]
