import numpy as np
import pytest
from scipy.stats import binomtest

from gender_pipeline.evaluation import EvaluationSettings
from gender_pipeline.registration.paired import paired_test

RESAMPLES = EvaluationSettings(n_bootstrap=500)


def compare(candidate, champion, groups=None, confidence=0.95):
    groups = np.arange(len(candidate)) if groups is None else groups
    arrays = (np.array(candidate, bool), np.array(champion, bool), np.array(groups, object))
    return paired_test(*arrays, confidence=confidence, resamples=RESAMPLES)


def test_equal_answers_differ_by_exactly_nothing() -> None:
    right = [True, False, True, True]
    test = compare(right, right)
    assert (test["difference"], test["low"], test["high"], test["p_value"]) == (0, 0, 0, 1)
    # Even of a single subject there is nothing that could be otherwise.
    assert compare(right, right, groups=["a"] * 4)["low"] == 0


def test_the_p_value_is_mcnemars_exact_one() -> None:
    test = compare([1, 1, 1, 1, 1, 0, 0, 1], [0, 0, 0, 0, 0, 1, 0, 1])
    assert (test["only_candidate"], test["only_champion"], test["photos"]) == (5, 1, 8)
    assert test["difference"] == 0.5
    assert test["p_value"] == pytest.approx(binomtest(1, 6, 0.5).pvalue)


def test_bounds_contain_the_difference_and_widen_with_confidence() -> None:
    random = np.random.default_rng(0)
    candidate, champion = random.random((2, 300)) < 0.8
    narrow, wide = compare(candidate, champion, confidence=0.8), compare(candidate, champion, confidence=0.99)
    assert wide["low"] < narrow["low"] < narrow["difference"] < narrow["high"] < wide["high"]


def test_photos_of_one_subject_count_together() -> None:
    random = np.random.default_rng(1)
    by_subject = np.repeat(random.random((2, 30)) < 0.8, 10, axis=1)
    apart = compare(*by_subject)
    together = compare(*by_subject, groups=np.repeat(np.arange(30), 10))
    assert together["low"] < apart["low"]


def test_a_single_subject_with_differences_gives_no_bounds() -> None:
    test = compare([True, False], [True, True], groups=["a", "a"])
    assert (test["low"], test["high"]) == (None, None)


def test_the_bound_holds_as_often_as_its_confidence_says() -> None:
    random = np.random.default_rng(2)
    truth, groups, holds = -0.05, np.repeat(np.arange(60), 3), 0
    for _ in range(200):
        kinds = np.repeat(random.choice(3, size=60, p=[0.85, 0.1, 0.05]), 3)  # agree, champion only, candidate only
        holds += compare(kinds != 1, kinds != 2, groups)["low"] <= truth
    assert 0.9 <= holds / 200 <= 0.99
