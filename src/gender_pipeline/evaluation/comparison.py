"""Several recipes on the same photos: how accurate, how fast, how large; and which of them no other one beats."""

import logging
from time import perf_counter
from typing import Annotated, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from tqdm import tqdm

from gender_pipeline.errors import EvaluationError, GenderPipelineError
from gender_pipeline.evaluation.experiment import Experiment
from gender_pipeline.evaluation.latency import TimingSettings, device_name, measure_timing
from gender_pipeline.evaluation.slices import OVERALL
from gender_pipeline.recipes import Recipe
from gender_pipeline.schema import Settings

# Two networks of one shape differ by some per cent from call to call; that much is no reason to prefer one.
LATENCY_NOISE: Final = 0.05
BATCH: Final = 32
_log = logging.getLogger(__name__)


class ComparisonSettings(Settings):
    """What is compared."""

    recipes: Annotated[tuple[Recipe, ...], Field(min_length=1)]
    """The recipes; what they say of `sources` does not count, since all are trained on the same photos."""
    sources: tuple[str, ...] = ()
    """The data sets all are trained and tested on; empty for all there are."""
    timing: TimingSettings = TimingSettings()
    """How often a network is called to time it."""


def compare_recipes(experiment: Experiment, settings: ComparisonSettings) -> pd.DataFrame:
    """Train, test and time each recipe; one that fails is a row that says why.

    Returns:
        One row a recipe in the order given: `name`, `params.*` (backbone, weights, image_size_px, trainable, device),
        `accuracy` in [0, 1] with `accuracy_low` and `accuracy_high` on `test_photos` photos, `latency_ms` of one
        photo, `photos_per_second_1` and `photos_per_second_32` in batches of that size, `parameters_million`,
        `weights_mb` (10^6 bytes), `train_seconds` (features included where they were not in the cache), `pareto`
        (bool, see `pareto_front`), and `problem`, empty where there is none. What is not known is NaN.

    Raises:
        EvaluationError: There is no test photo, or every recipe failed.
    """
    common = experiment.restricted_to(settings.sources)
    recipes = tqdm(settings.recipes, desc="recipes", unit="recipe", disable=None)
    table = pd.DataFrame([_row(common, recipe, settings.timing) for recipe in recipes])
    failed = table["problem"] != ""
    if failed.all():
        problems = table["name"] + ": " + table["problem"]
        raise EvaluationError("no recipe could be compared", received="; ".join(problems), remedy="mend one of them")
    table.insert(len(table.columns) - 1, "pareto", False)
    good = table.loc[~failed, ["accuracy", "latency_ms", "weights_mb"]].to_numpy(dtype=np.float64)
    table.loc[~failed, "pareto"] = pareto_front(*good.T)
    return table


def pareto_front(
    accuracy: NDArray[np.float64], latency_ms: NDArray[np.float64], weights_mb: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tell which of N models no other one beats.

    A model beats another if it is at least as accurate, as fast (but for `LATENCY_NOISE`) and as small, and better in
    one of these. The intervals do not count, so that two members of the front may well be equally accurate.

    Args:
        accuracy: (N,) float64; higher is better.
        latency_ms: (N,) float64 > 0; lower is better.
        weights_mb: (N,) float64; lower is better.

    Returns:
        (N,) bool; at least one is True for N >= 1.
    """
    gain = accuracy[:, None] - accuracy  # (N, N): what row i has over column j
    saved = weights_mb - weights_mb[:, None]
    speed = latency_ms / latency_ms[:, None]
    no_worse = (gain >= 0) & (saved >= 0) & (speed * (1 + LATENCY_NOISE) >= 1)
    better = (gain > 0) | (saved > 0) | (speed > 1 + LATENCY_NOISE)
    return np.asarray(~(no_worse & better).any(axis=0))


def _row(experiment: Experiment, recipe: Recipe, timing: TimingSettings) -> dict[str, Any]:
    import keras

    about = recipe.model_dump(include={"backbone", "weights", "image_size_px", "trainable"})
    row = {"name": recipe.name, **{f"params.{name}": value for name, value in about.items()}}
    try:
        figures = _measure(experiment, recipe.model_copy(update={"sources": ()}), timing)
        return {**row, "params.device": device_name(), **figures, "problem": ""}
    # What Keras raises when memory runs out is an open set; hours of other trainings must not be lost for it.
    except Exception as error:
        _log.warning("recipe %s cannot be compared: %s", recipe.name, error)
        kind = "" if isinstance(error, GenderPipelineError) else f"{type(error).__name__}: "
        return {**row, "problem": f"{kind}{' '.join(str(error).split())}"[:500]}
    finally:
        keras.utils.clear_session(free_memory=True)  # the graphs of one recipe are of no use to the next


def _measure(experiment: Experiment, recipe: Recipe, timing: TimingSettings) -> dict[str, Any]:
    start = perf_counter()
    model = experiment.train(recipe)
    train_seconds = perf_counter() - start
    overall = experiment.test(model)[OVERALL]
    accuracy = overall["metrics"]["accuracy"]
    one, many = (measure_timing(model.network, size, timing) for size in (1, BATCH))
    weights = model.network.weights
    return {
        "accuracy": accuracy["value"],
        "accuracy_low": accuracy["low"],
        "accuracy_high": accuracy["high"],
        "test_photos": overall["photos"],
        "latency_ms": one.latency_ms,
        "photos_per_second_1": one.photos_per_second,
        f"photos_per_second_{BATCH}": many.photos_per_second,
        "parameters_million": model.network.count_params() / 1e6,
        "weights_mb": sum(int(np.prod(weight.shape)) * np.dtype(weight.dtype).itemsize for weight in weights) / 1e6,
        "train_seconds": train_seconds,
    }
