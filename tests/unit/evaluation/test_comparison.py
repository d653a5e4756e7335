import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError

from gender_pipeline.errors import EvaluationError
from gender_pipeline.evaluation.comparison import LATENCY_NOISE, ComparisonSettings, compare_recipes, pareto_front
from gender_pipeline.evaluation.latency import TimingSettings
from photo_experiments import RECIPE, tiny_experiment

QUICK = TimingSettings(warm_up=1, repeats=2)
WITHOUT_WEIGHTS = RECIPE.model_copy(update={"name": "absent", "weights": "nowhere.safetensors"})


def settings(*recipes: object, **others: object) -> ComparisonSettings:
    return ComparisonSettings(recipes=recipes, timing=QUICK, **others)


def front(*models: tuple[float, float, float]) -> list[bool]:
    return pareto_front(*np.array(models, dtype=float).T).tolist()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Compare a recipe, one on another data set, and one that cannot be trained."""
    experiment = tiny_experiment(tmp_path_factory.mktemp("cache"), {"a": (8, 4, 8), "b": (4, 4, 4)})
    elsewhere = RECIPE.model_copy(update={"name": "elsewhere", "sources": ("c",)})
    return compare_recipes(experiment, settings(RECIPE, WITHOUT_WEIGHTS, elsewhere))


def test_there_is_a_row_a_recipe_in_the_order_given(table) -> None:
    assert table["name"].tolist() == ["tiny", "absent", "elsewhere"]
    assert table["params.backbone"].tolist() == ["efficientnet_lite0"] * 3
    assert table["params.image_size_px"].tolist() == [32] * 3


def test_a_recipe_without_weights_is_a_row_that_says_why(table) -> None:
    absent = table.loc[1]
    assert "nowhere.safetensors" in absent["problem"]
    assert np.isnan(absent["accuracy"])
    assert not absent["pareto"]
    assert table["problem"].tolist()[::2] == ["", ""]


def test_all_recipes_are_tested_on_the_same_photos_whatever_their_sources_say(table) -> None:
    assert table["test_photos"].dropna().tolist() == [12, 12]


def test_throughput_latency_and_size_fit_together(table) -> None:
    row = table.loc[0]
    assert 0 <= row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"] <= 1
    assert row["photos_per_second_1"] * row["latency_ms"] == pytest.approx(1000)
    assert row["photos_per_second_32"] > 0
    assert row["weights_mb"] == pytest.approx(4 * row["parameters_million"])  # float32
    assert 3 < row["parameters_million"] < 4
    assert row["train_seconds"] > 0
    assert "threads" in row["params.device"]


def test_only_the_sources_asked_for_are_tested(tmp_path) -> None:
    experiment = tiny_experiment(tmp_path, {"a": (8, 4, 8), "b": (4, 4, 4)})
    assert compare_recipes(experiment, settings(RECIPE, sources=("b",)))["test_photos"].tolist() == [4]


def test_where_all_recipes_fail_the_reasons_are_the_error(tmp_path) -> None:
    experiment = tiny_experiment(tmp_path, {"a": (4, 2, 2)})
    with pytest.raises(EvaluationError, match=r"no recipe could be compared; received absent: .*nowhere\.safetensors"):
        compare_recipes(experiment, settings(WITHOUT_WEIGHTS))


def test_what_a_backend_raises_is_a_row_under_its_kind(tmp_path, monkeypatch) -> None:
    experiment = tiny_experiment(tmp_path, {"a": (4, 2, 2)})

    def fail(self: object, recipe: object) -> None:  # noqa: ARG001 as the method
        raise MemoryError("of the\nprocessor")

    monkeypatch.setattr(type(experiment), "train", fail)
    with pytest.raises(EvaluationError, match="tiny: MemoryError: of the processor"):
        compare_recipes(experiment, settings(RECIPE))


def test_nothing_to_compare_is_a_wrong_setting() -> None:
    with pytest.raises(ValidationError, match="recipes"):
        settings()


def test_who_is_worse_in_everything_is_not_on_the_front() -> None:
    assert front((0.9, 10, 20), (0.8, 20, 30)) == [True, False]


def test_being_best_in_one_respect_is_enough() -> None:
    assert front((0.9, 10, 20), (0.8, 5, 30), (0.7, 20, 1)) == [True, True, True]


def test_latency_within_the_noise_does_not_save_a_model() -> None:
    noise = 1 + LATENCY_NOISE / 2
    assert front((0.9, 10 * noise, 20), (0.8, 10, 20)) == [True, False]
    assert front((0.9, 10 * (1 + 2 * LATENCY_NOISE), 20), (0.8, 10, 20)) == [True, True]


def test_equal_models_are_on_the_front_together() -> None:
    assert front((0.9, 10, 20), (0.9, 10, 20)) == [True, True]


MODELS = arrays(float, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(1, 6).map(float))


@given(MODELS)
def test_the_front_is_never_empty_and_holds_the_most_accurate_accuracy(models) -> None:
    on_front = pareto_front(*models.T)
    assert on_front.any()
    assert models[on_front, 0].max() == models[:, 0].max()


@given(MODELS, st.randoms())
def test_the_order_of_the_models_does_not_change_the_front(models, random) -> None:
    order = random.sample(range(len(models)), len(models))
    assert pareto_front(*models[order].T).tolist() == pareto_front(*models.T)[order].tolist()


@given(MODELS)
def test_a_model_beaten_in_all_three_never_changes_who_is_on_the_front(models) -> None:
    worse = np.array([models[:, 0].min() - 1, models[:, 1].max() * 2, models[:, 2].max() + 1])
    with_it = pareto_front(*np.vstack([models, worse]).T)
    assert with_it.tolist() == [*pareto_front(*models.T).tolist(), False]
