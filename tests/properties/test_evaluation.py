import json
import math
import posixpath
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from gender_pipeline.evaluation import EvaluationSettings, flat_metrics, measure
from gender_pipeline.evaluation.bootstrap import subject_intervals
from gender_pipeline.evaluation.metrics import CALIBRATION_BINS, METRICS, Answers, weighted_metrics
from prediction_tables import GENDERS, random_predictions

FAST = EvaluationSettings(n_bootstrap=100)
SEEDS = st.integers(0, 2**32 - 1)
CLASS_COUNTS = st.integers(2, 5)


def in_mlflow(source: str) -> str:
    """Return a source's name as MLflow takes it."""
    return re.sub("[^A-Za-z0-9_. -]", "_", source)


def random_answers(seed: int, n_classes: int, n_photos: int = 40) -> Answers:
    """Return answers with many equal scores, where a class may be missing or never predicted."""
    random = np.random.default_rng(seed)
    scores = random.integers(1, 6, size=(n_photos, n_classes)) * random.integers(1, 4, size=n_classes)
    return Answers(
        truth=random.integers(random.integers(1, n_classes + 1), size=n_photos),
        predicted=scores.argmax(axis=1),
        probabilities=scores / scores.sum(axis=1, keepdims=True),
    )


def weights_of(seed: int, n_photos: int = 40) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.exponential(size=(3, n_photos)) * (random.random((3, n_photos)) < 0.8)


def by_scikit_learn(answers: Answers, weights: np.ndarray) -> dict[str, float]:
    """Return the metrics under one weighting (N,) as scikit-learn defines them, NaN where it calls them undefined."""
    truth, predicted, n_classes = answers.truth, answers.predicted, answers.probabilities.shape[1]
    classes = list(range(n_classes))
    weighted = {"sample_weight": weights}
    chosen = {"average": "binary"} if n_classes == 2 else {"average": "macro", "labels": classes}
    by_class = {**weighted, **chosen, "zero_division": np.nan}
    # A class whose photos all have the weight 0 is none of the slice's.
    present = [code for code in classes if weights[truth == code].sum() > 0]
    curves = [code for code in present if len(present) > 1 and (n_classes > 2 or code == 1)]
    areas = [
        sklearn_metrics.roc_auc_score(truth == code, answers.probabilities[:, code], **weighted) for code in curves
    ]
    recalls = [sklearn_metrics.recall_score(truth, predicted, average=None, labels=present, **weighted)]
    return {
        "loss": sklearn_metrics.log_loss(truth, answers.probabilities, labels=classes, **weighted),
        "accuracy": sklearn_metrics.accuracy_score(truth, predicted, **weighted),
        "balanced_accuracy": float(np.mean(recalls)),
        "precision": sklearn_metrics.precision_score(truth, predicted, **by_class),
        "recall": sklearn_metrics.recall_score(truth, predicted, **by_class),
        "f1": sklearn_metrics.f1_score(truth, predicted, **by_class),
        "roc_auc": float(np.mean(areas)) if areas else math.nan,
        "ece": calibration_error(answers, weights),
    }


def calibration_error(answers: Answers, weights: np.ndarray) -> float:
    """Return the expected calibration error as its definition reads, bin by bin (Guo et al. 2017, eq. 3)."""
    right, error = answers.truth == answers.predicted, 0.0
    for number in range(CALIBRATION_BINS):
        low, high = number / CALIBRATION_BINS, (number + 1) / CALIBRATION_BINS
        held = (answers.confidence >= low) & ((answers.confidence < high) | (high == 1))
        gap = weights[held] @ right[held] - weights[held] @ answers.confidence[held]
        error += abs(gap)
    return error / weights.sum()


@given(SEEDS, CLASS_COUNTS)
@settings(deadline=None, max_examples=40)
def test_weighted_metrics_agree_with_scikit_learn(seed: int, n_classes: int) -> None:
    answers, weights = random_answers(seed, n_classes), weights_of(seed)
    measured = weighted_metrics(answers, weights)
    for number, row in enumerate(weights):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of undefined metrics
            expected = by_scikit_learn(answers, row)
        assert {name: values[number] for name, values in measured.items()} == pytest.approx(expected, nan_ok=True)


@given(SEEDS, CLASS_COUNTS, st.floats(1e-3, 1e3))
def test_only_the_ratio_of_the_weights_counts(seed: int, n_classes: int, factor: float) -> None:
    answers, weights = random_answers(seed, n_classes), weights_of(seed)
    for name, values in weighted_metrics(answers, weights).items():
        assert weighted_metrics(answers, weights * factor)[name] == pytest.approx(values, nan_ok=True)


@given(SEEDS, CLASS_COUNTS)
def test_a_photo_of_weight_three_counts_as_three_photos(seed: int, n_classes: int) -> None:
    answers = random_answers(seed, n_classes)
    times = np.random.default_rng(seed).integers(0, 4, size=len(answers.truth))
    times[0] += 1
    repeated = Answers(
        *(np.repeat(part, times, axis=0) for part in (answers.truth, answers.predicted, answers.probabilities))
    )
    weighted, plain = (
        weighted_metrics(photos, weights)
        for photos, weights in ((answers, times[None].astype(float)), (repeated, np.ones((1, times.sum()))))
    )
    assert all(weighted[name] == pytest.approx(plain[name], nan_ok=True) for name in METRICS)


@given(SEEDS, st.integers(3, 5))
def test_the_order_of_more_than_two_classes_does_not_matter(seed: int, n_classes: int) -> None:
    answers, weights = random_answers(seed, n_classes), weights_of(seed)
    order = np.random.default_rng(seed).permutation(n_classes)
    place = np.argsort(order)
    renamed = Answers(place[answers.truth], place[answers.predicted], answers.probabilities[:, order])
    again = weighted_metrics(renamed, weights)
    for name, values in weighted_metrics(answers, weights).items():
        assert again[name] == pytest.approx(values, nan_ok=True)


@given(SEEDS, CLASS_COUNTS, st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_every_metric_is_in_its_range_and_every_interval_in_order(seed: int, n_classes: int, n_photos: int) -> None:
    answers = random_answers(seed, n_classes)
    groups = (np.arange(len(answers.truth)) // n_photos).astype(object)
    for name, (low, high) in subject_intervals(answers, groups, FAST).items():
        assert (math.isnan(low) and math.isnan(high)) or 0 <= low <= high
        assert not high > (16 if name == "loss" else 1 + 1e-12)


@given(SEEDS)
@settings(deadline=None, max_examples=20)
def test_the_names_of_the_groups_do_not_matter_but_their_order(seed: int) -> None:
    answers = random_answers(seed, 2)
    codes = np.sort(np.random.default_rng(seed).integers(10, size=len(answers.truth)))
    first, second = (
        subject_intervals(answers, np.array([f"{prefix}{code}" for code in codes], dtype=object), FAST)
        for prefix in ("a", "subject ")
    )
    assert all(first[name] == pytest.approx(second[name], nan_ok=True) for name in METRICS)


@given(
    seed=SEEDS,
    n_photos=st.integers(1, 12),
    class_names=st.sampled_from([GENDERS, ("a", "b", "c")]),
    sources=st.lists(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "all"), min_size=1, max_size=3, unique_by=in_mlflow
    ),
)
@settings(deadline=None, max_examples=25)
def test_whatever_is_measured_is_json_and_has_names_which_mlflow_takes(
    seed: int, n_photos: int, class_names: tuple[str, ...], sources: list[str]
) -> None:
    tables = [random_predictions(n_photos, class_names, seed=seed, source=source) for source in sources]
    metrics = measure(pd.concat(tables, ignore_index=True), FAST)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    for name, value in flat_metrics(metrics).items():
        assert re.fullmatch(r"test\.([A-Za-z0-9_. -]+\.)?\w+", name, flags=re.ASCII)
        assert posixpath.normpath(name) == name
        assert math.isfinite(value)
