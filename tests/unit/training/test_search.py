"""The search, mostly with a training that is none but says how good each learning rate would be."""

import math
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gender_pipeline.errors import SettingsError, TrainingError
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, train
from gender_pipeline.training.progress import HISTORY_COLUMNS
from gender_pipeline.training.search import Found, SearchSettings, search, with_values

RECIPE = Recipe(
    name="tiny",
    backbone="efficientnet_lite0",
    image_size_px=32,
    optimizer={"learning_rate": 0.01},
    epochs=3,
    batch_size=12,
    patience=3,
    seed=1,
)
RATES = [0.01, 0.001, 0.0001]


class Trainer:
    """Its loss is lowest at a learning rate of 0.001, its accuracy highest at 0.0001; it diverges above `limit`."""

    def __init__(self, limit: float = 1.0) -> None:
        self.limit = limit
        self.recipes: list[Recipe] = []

    def __call__(self, recipe: Recipe) -> tuple[Any, pd.DataFrame]:
        self.recipes.append(recipe)
        rate = recipe.optimizer.learning_rate
        if rate > self.limit:
            raise TrainingError("the loss is not finite")
        loss = (math.log10(rate) + 3) ** 2 + recipe.head.dropout
        rows = [(e, 1, loss, 0.5, loss + abs(e - 2), 1 / (1 + 100 * rate), rate) for e in range(1, recipe.epochs + 1)]
        return Mock(recipe=recipe), pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))


def run(trainer: Trainer | None = None, **settings: Any) -> Found:
    *_, found = search(
        RECIPE, SearchSettings(**{"space": {"optimizer.learning_rate": RATES}, **settings}), trainer or Trainer()
    )
    return found


def test_the_lowest_validation_loss_wins_and_its_values_are_in_the_model() -> None:
    found = run()
    assert found.trials["params.optimizer.learning_rate"].tolist() == RATES
    assert found.trials["chosen"].tolist() == [False, True, False]
    assert found.model.recipe.optimizer.learning_rate == 0.001
    assert found.history["learning_rate"].unique() == [0.001]


def test_validation_accuracy_can_choose_instead() -> None:
    assert run(choose_by="val_accuracy").trials["chosen"].tolist() == [False, False, True]


def test_a_row_tells_the_epoch_whose_weights_were_kept() -> None:
    row = run().trials.iloc[1]
    assert row[["trial", "val_loss", "best_epoch", "epochs", "problem"]].tolist() == ["trial_01", 0.0, 2, 3, ""]


def test_the_kept_epoch_is_one_of_the_last_phase() -> None:
    def two_phases(recipe: Recipe) -> tuple[Any, pd.DataFrame]:
        model, history = Trainer()(recipe)
        return model, history.assign(phase=[1, 1, 2])

    assert run(trainer=two_phases).trials["best_epoch"].unique() == [3]


def test_after_each_trial_there_is_what_was_found_until_then() -> None:
    settings = SearchSettings(space={"optimizer.learning_rate": [9.0, *RATES]})
    steps = list(search(RECIPE, settings, Trainer(limit=1.0)))
    # Nothing is found before a first trial has succeeded.
    assert [len(found.trials) for found in steps] == [2, 3, 4]
    assert [found.model.recipe.optimizer.learning_rate for found in steps] == [0.01, 0.001, 0.001]
    assert [found.trials["chosen"].sum() for found in steps] == [1, 1, 1]


def test_curves_are_the_histories_of_all_trials() -> None:
    curves = run().curves
    assert curves.columns.tolist() == ["trial", *HISTORY_COLUMNS]
    assert curves.groupby("trial")["epoch"].apply(list).tolist() == [[1, 2, 3]] * 3


def test_a_grid_tries_every_combination_once() -> None:
    space = {"optimizer.learning_rate": RATES, "head.dropout": [0.0, 0.5], "head.hidden_units": [[], [8, 4]]}
    found = run(space=space)
    tried = found.trials[[f"params.{key}" for key in space]]
    assert len(tried) == len(tried.drop_duplicates()) == 12
    assert set(tried["params.head.hidden_units"]) == {"[]", "[8, 4]"}


def test_a_trial_that_fails_is_a_row_with_the_reason_and_not_the_end() -> None:
    trials = run(trainer=Trainer(limit=0.005)).trials
    assert trials["problem"].tolist() == ["the loss is not finite", "", ""]
    assert trials["val_loss"].isna().tolist() == [True, False, False]
    assert trials["chosen"].tolist() == [False, True, False]


@pytest.mark.parametrize("method", ["grid", "optuna"])
def test_a_search_of_which_every_trial_fails_is_an_error(method: str) -> None:
    with pytest.raises(TrainingError, match=r"every trial of the search failed; received the loss is not finite$"):
        run(trainer=Trainer(limit=0.0), method=method, n_trials=2)


@pytest.mark.parametrize("method", ["grid", "optuna"])
@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"optimiser.learning_rate": RATES}, "cannot search 'optimiser.learning_rate'"),
        ({"optimizer.rate": RATES}, "cannot search 'optimizer.rate'; expected the dotted name of a setting"),
        ({"epochs.all": [1]}, "cannot search 'epochs.all'"),
        ({"optimizer.learning_rate": [0.1, -1]}, r"optimizer.learning_rate = -1: Input should be greater than 0"),
        ({"trainable": ["head", "block99"]}, "has no such block to train"),
        ({"optimizer.momentum": [0.0, 0.9]}, "adam takes no momentum"),
    ],
)
def test_what_the_recipe_does_not_know_is_an_error_before_any_training(
    method: str, space: dict[str, Any], message: str
) -> None:
    trainer = Trainer()
    with pytest.raises(SettingsError, match=message):
        run(trainer=trainer, method=method, space=space)
    assert trainer.recipes == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"space": {}}, "space names no setting"),
        ({"space": {"head.dropout": None}}, "space names no setting"),
        ({"space": {"head.dropout": []}}, "at least 1 item"),
        ({"space": {"head.dropout": {"low": 0.0, "high": 0.5}}}, "a grid needs lists of values.*head.dropout"),
        ({"space": {"head.dropout": {"low": 0.5, "high": 0.5}}, "method": "optuna"}, "low must be below high"),
        ({"space": {"head.dropout": {"low": 0, "high": 1, "log": True}}, "method": "optuna"}, "above 0 with log"),
        ({"space": {"loss.label_smoothing": [0, 0.1]}}, "changes what the loss is; set choose_by: val_accuracy"),
        ({"space": {"sources": [["muct"], ["celeba"]]}}, "every trial would have other validation photos"),
    ],
)
def test_settings_that_cannot_be_searched_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SearchSettings(**settings)


def test_a_setting_set_to_null_is_not_searched() -> None:
    assert len(run(space={"optimizer.learning_rate": None, "head.dropout": [0.1, 0.2]}).trials) == 2


OPTUNA = {
    "method": "optuna",
    "n_trials": 30,
    "space": {
        "optimizer.learning_rate": {"low": 1e-5, "high": 0.1, "log": True},
        "epochs": {"low": 2, "high": 4},
        "head.dropout": [0.0, 0.3],
        "head.hidden_units": [[], [8]],
    },
}


@pytest.fixture(scope="module")
def proposed() -> Found:
    return run(**OPTUNA)


def test_optuna_keeps_to_ranges_and_choices(proposed: Found) -> None:
    trials = proposed.trials
    assert len(trials) == 30
    assert trials["params.optimizer.learning_rate"].between(1e-5, 0.1).all()
    assert set(trials["params.epochs"]) == {2, 3, 4}
    assert set(trials["params.head.dropout"]) == {0.0, 0.3}
    assert set(trials["params.head.hidden_units"]) == {"[]", "[8]"}


def test_optuna_comes_near_the_optimum(proposed: Found) -> None:
    assert proposed.model.recipe.optimizer.learning_rate == pytest.approx(0.001, rel=0.5)
    assert proposed.model.recipe.head.dropout == 0.0


def test_the_same_seed_proposes_the_same_trials_and_another_one_others(proposed: Found) -> None:
    pd.testing.assert_frame_equal(run(**OPTUNA).trials, proposed.trials)
    assert not run(**OPTUNA, seed=1).trials.equals(proposed.trials)


def test_a_trial_of_optuna_that_fails_is_a_row_too() -> None:
    trials = run(**OPTUNA, trainer=Trainer(limit=0.01)).trials
    assert 0 < (trials["problem"] != "").sum() < 30
    assert (trials.loc[trials["problem"] != "", "params.optimizer.learning_rate"] > 0.01).all()


@given(st.floats(1e-6, 1), st.floats(0, 0.9), st.integers(1, 1000))
def test_only_the_named_settings_change(rate: float, dropout: float, epochs: int) -> None:
    values = {"optimizer.learning_rate": rate, "head.dropout": dropout, "epochs": epochs}
    changed = with_values(RECIPE, values)
    assert (changed.optimizer.learning_rate, changed.head.dropout, changed.epochs) == (rate, dropout, epochs)
    original = {"optimizer.learning_rate": 0.01, "head.dropout": 0.0, "epochs": 3}
    assert with_values(changed, original) == RECIPE


def test_the_best_model_is_the_one_that_its_recipe_gives_and_features_are_computed_once(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, tmp_path: Path
) -> None:
    trainer = partial(
        train,
        class_names=("female", "male"),
        split_manifest=split_manifest,
        images=album,
        cache=FeatureCache(tmp_path),
    )
    settings = SearchSettings(space={"optimizer.learning_rate": [1e-4, 0.01]})
    *_, found = search(recipe, settings, trainer)
    assert found.trials["chosen"].tolist() == [False, True]
    assert len(album.asked) == len(set(album.asked)) == 36
    plain, history = trainer(with_values(recipe, {"optimizer.learning_rate": 0.01}))
    assert plain.weights_digest == found.model.weights_digest
    pd.testing.assert_frame_equal(history, found.history)
