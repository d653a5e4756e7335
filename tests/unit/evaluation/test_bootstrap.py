import math
import tracemalloc

import numpy as np
import pytest
from pydantic import ValidationError

from gender_pipeline.evaluation import bootstrap
from gender_pipeline.evaluation.bootstrap import EvaluationSettings, resampled_weights, subject_intervals
from gender_pipeline.evaluation.metrics import METRICS, Answers, weighted_metrics

FAST = EvaluationSettings(n_bootstrap=300)


def correlated_photos(n_subjects: int, n_photos: int, random: np.random.Generator) -> tuple[Answers, np.ndarray]:
    """Return photos of subjects who are each answered the same in all their photos, and their groups (N,)."""
    score = random.normal(scale=2, size=n_subjects)
    truth = (random.random(n_subjects) < 1 / (1 + np.exp(-score))).astype(np.int64)
    p_positive = np.repeat(1 / (1 + np.exp(-score)), n_photos)
    given = Answers(
        truth=np.repeat(truth, n_photos),
        predicted=(p_positive > 0.5).astype(np.int64),
        probabilities=np.stack([1 - p_positive, p_positive], axis=1),
    )
    return given, np.repeat(np.arange(n_subjects), n_photos).astype(object)


def one_photo_each(answers: Answers) -> np.ndarray:
    return np.arange(len(answers.truth)).astype(object)


def test_intervals_over_subjects_hold_the_true_value_in_about_95_of_100_data_sets() -> None:
    random = np.random.default_rng(1)
    population, _ = correlated_photos(400_000, 1, random)
    true = {name: value[0] for name, value in weighted_metrics(population, np.ones((1, 400_000))).items()}
    metrics = [name for name in METRICS if name != "ece"]
    held = []
    for _ in range(200):
        answers, groups = correlated_photos(100, 4, random)
        intervals = subject_intervals(answers, groups, FAST)
        held.append([intervals[name][0] <= true[name] <= intervals[name][1] for name in metrics])
    coverage = dict(zip(metrics, np.mean(held, axis=0), strict=True))
    # Of 200 true 95 % intervals, 182 to 198 hold the value in 99.7 % of all cases; percentiles are a little narrow.
    assert all(0.90 <= share <= 0.99 for share in coverage.values()), coverage


def test_intervals_over_subjects_are_wider_than_over_photos_where_the_photos_of_a_subject_are_alike() -> None:
    answers, groups = correlated_photos(100, 4, np.random.default_rng(0))
    over_subjects = subject_intervals(answers, groups, FAST)["accuracy"]
    over_photos = subject_intervals(answers, one_photo_each(answers), FAST)["accuracy"]
    # Four equal photos tell as much as one, so that the interval is twice as wide.
    assert np.ptp(over_subjects) / np.ptp(over_photos) == pytest.approx(2, abs=0.4)


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_of_the_accuracy_holds_the_measured_accuracy(seed: int) -> None:
    answers, groups = correlated_photos(60, 3, np.random.default_rng(seed))
    low, high = subject_intervals(answers, groups, FAST)["accuracy"]
    assert low <= weighted_metrics(answers, np.ones((1, len(groups))))["accuracy"][0] <= high


def test_more_confidence_needs_a_wider_interval() -> None:
    answers, groups = correlated_photos(100, 2, np.random.default_rng(0))
    widths = [
        np.ptp(subject_intervals(answers, groups, EvaluationSettings(n_bootstrap=300, confidence=share))["accuracy"])
        for share in (0.5, 0.8, 0.95)
    ]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_the_seed_alone_decides_the_resamples() -> None:
    answers, groups = correlated_photos(50, 2, np.random.default_rng(0))
    first, again, other = (
        subject_intervals(answers, groups, EvaluationSettings(n_bootstrap=100, seed=seed))["loss"] for seed in (3, 3, 4)
    )
    assert first == again != other


def test_the_size_of_the_chunks_does_not_change_the_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, groups = correlated_photos(50, 2, np.random.default_rng(0))
    at_once = subject_intervals(answers, groups, FAST)
    monkeypatch.setattr(bootstrap, "CHUNK_WEIGHTS", 700)
    assert len(list(resampled_weights(groups, FAST))) == 43  # 300 resamples, seven at a time
    in_chunks = subject_intervals(answers, groups, FAST)
    assert all(in_chunks[name] == pytest.approx(at_once[name], nan_ok=True) for name in METRICS)


def test_photos_of_a_group_are_drawn_together_and_as_many_groups_as_there_are() -> None:
    groups = np.array(["a", "b", "b", "c", "b"], dtype=object)
    weights = np.concatenate(list(resampled_weights(groups, FAST)))
    assert weights.shape == (300, 5)
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert weights[:, 0].mean() == pytest.approx(1, abs=0.15)


def test_a_single_subject_gives_no_interval() -> None:
    answers, _ = correlated_photos(4, 1, np.random.default_rng(0))
    intervals = subject_intervals(answers, np.array(["same"] * 4, dtype=object), FAST)
    assert all(math.isnan(bound) for bounds in intervals.values() for bound in bounds)


def test_the_calibration_error_has_no_interval() -> None:
    answers, groups = correlated_photos(50, 2, np.random.default_rng(0))
    assert all(math.isnan(bound) for bound in subject_intervals(answers, groups, FAST)["ece"])


def test_resamples_in_which_a_metric_is_undefined_do_not_count_for_it() -> None:
    # One of five subjects is positive: a third of the resamples has no ROC AUC.
    p_positive = np.array([0.9, 0.1, 0.2, 0.3, 0.4])
    answers = Answers(
        np.array([1, 0, 0, 0, 0]), (p_positive > 0.5).astype(np.int64), np.stack([1 - p_positive, p_positive], 1)
    )
    assert subject_intervals(answers, one_photo_each(answers), FAST)["roc_auc"] == (1, 1)


def test_memory_does_not_grow_with_the_number_of_resamples() -> None:
    answers, groups = correlated_photos(10_000, 3, np.random.default_rng(0))
    tracemalloc.start()
    subject_intervals(answers, groups, EvaluationSettings(n_bootstrap=200))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20  # the 200 weightings alone are 48 MB, of 1,000 they would be 240 MB


@pytest.mark.parametrize(
    "wrong", [{"n_bootstrap": 10}, {"confidence": 1.0}, {"seed": -1}, {"splits": []}, {"splits": ["tset"]}, {"sead": 1}]
)
def test_settings_out_of_range_or_misspelt_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        EvaluationSettings(**wrong)
