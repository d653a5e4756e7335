"""Confidence intervals by drawing subjects, not photos, with replacement."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gender_pipeline.evaluation.metrics import METRICS, Answers, FloatArray, weighted_metrics
from gender_pipeline.schema import TEST, VALIDATION, Settings

# Weights held at a time: 2 MB an array, which stays in the processor's cache; 1,000,000 takes half as long again.
CHUNK_WEIGHTS: Final = 250_000
UNDEFINED: Final = (float("nan"), float("nan"))


class EvaluationSettings(Settings):
    """How predictions are measured."""

    n_bootstrap: Annotated[int, Field(ge=100, le=100_000)] = 1000
    """Resamples behind an interval."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of data sets whose interval should contain the true value."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the resamples; every slice starts from it, so that its interval depends on its own photos alone."""
    splits: Annotated[tuple[Literal["train", "validation", "test"], ...], Field(min_length=1)] = (VALIDATION, TEST)
    """The splits measured."""
    test_crops: Literal[1, 2, 5, 10] = 1
    """Crops of a photo whose answers are averaged: the photo; and mirrored; middle and corners; and those mirrored."""


def subject_intervals(
    answers: Answers, groups: NDArray[np.object_], settings: EvaluationSettings
) -> dict[str, tuple[float, float]]:
    """Return (low, high) of every metric: percentiles of its values over resamples of the subjects.

    Photos of one subject are alike, so that they are drawn together: an interval over photos would be too narrow.

    Args:
        answers: N photos.
        groups: (N,) the group of each photo: a subject and whoever shares near-duplicate photos with it.
        settings: Number of resamples, confidence, seed.

    Returns:
        Bounds for each of `METRICS`; resamples in which a metric is undefined do not count for it. (NaN, NaN) where
        it is undefined in all of them, for a single group, which says nothing of others, and for `ece`: a resample
        seems worse calibrated than its data are, so that the percentiles miss the true error always.
    """
    resamples = [weighted_metrics(answers, weights) for weights in resampled_weights(groups, settings)]
    bounded = [] if np.all(groups == groups[0]) else [name for name in METRICS if name != "ece"]
    return dict.fromkeys(METRICS, UNDEFINED) | {
        name: _percentiles(np.concatenate([values[name] for values in resamples]), settings) for name in bounded
    }


def resampled_weights(groups: NDArray[np.object_], settings: EvaluationSettings) -> Iterator[FloatArray]:
    """Yield photo weights (R, N) float64, whole numbers, until R adds up to `n_bootstrap`.

    A row says how often each of the N photos counts when as many groups as there are are drawn with replacement.
    """
    names, codes = np.unique(groups, return_inverse=True)
    random = np.random.default_rng(settings.seed)
    chunk = max(1, CHUNK_WEIGHTS // len(groups))
    for start in range(0, settings.n_bootstrap, chunk):
        rows = min(chunk, settings.n_bootstrap - start)
        counts = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rows)
        yield counts.astype(np.float64)[:, codes]


def _percentiles(values: FloatArray, settings: EvaluationSettings) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if not len(defined):
        return UNDEFINED
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
