"""Candidate and champion on the same photos: is the candidate not worse by more than a margin?"""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.evaluation.bootstrap import EvaluationSettings, resampled_weights


class PairedTest(TypedDict):
    """Accuracy of the candidate less that of the champion.

    Attributes:
        difference: In [-1, 1]; above 0 the candidate is better.
        low: One-sided lower confidence bound of it; None where it cannot be had.
        high: One-sided upper bound, likewise.
        p_value: McNemar's exact test, two-sided, of whether the two are right equally often. It takes photos for
            independent, which those of one subject are not: it is shown, the bound decides.
        only_candidate: Photos that only the candidate has right.
        only_champion: Photos that only the champion has right.
        photos: All photos.
    """

    difference: float
    low: float | None
    high: float | None
    p_value: float
    only_candidate: int
    only_champion: int
    photos: int


def paired_test(
    candidate: NDArray[np.bool_],
    champion: NDArray[np.bool_],
    groups: NDArray[np.object_],
    *,
    confidence: float,
    resamples: EvaluationSettings,
) -> PairedTest:
    """Compare two classifiers on N > 0 photos by drawing groups of photos with replacement.

    Args:
        candidate: (N,) whether the candidate has a photo right.
        champion: (N,) the same of the champion.
        groups: (N,) the group of each photo: a subject and whoever shares near-duplicate photos with it.
        confidence: Confidence of either bound, in (0.5, 1).
        resamples: Number of resamples and seed.
    """
    from scipy.stats import binomtest

    difference = candidate.astype(np.float64) - champion
    only_candidate, only_champion = int((difference > 0).sum()), int((difference < 0).sum())
    discordant = only_candidate + only_champion
    low, high = _bounds(difference, groups, confidence, resamples)
    return PairedTest(
        difference=float(difference.mean()),
        low=low,
        high=high,
        p_value=float(binomtest(only_candidate, discordant, 0.5).pvalue) if discordant else 1.0,
        only_candidate=only_candidate,
        only_champion=only_champion,
        photos=len(difference),
    )


def _bounds(
    difference: NDArray[np.float64], groups: NDArray[np.object_], confidence: float, resamples: EvaluationSettings
) -> tuple[float | None, float | None]:
    # A single group says nothing of others, but two that agree on every photo are the same as far as can be seen.
    if difference.any() and np.all(groups == groups[0]):
        return None, None
    means = [(weights @ difference) / weights.sum(axis=1) for weights in resampled_weights(groups, resamples)]
    low, high = np.quantile(np.concatenate(means), [1 - confidence, confidence])
    return float(low), float(high)
