import numpy as np
import pytest

from gender_pipeline.evaluation.metrics import METRICS, Answers, calibration_bins, photo_losses, weighted_metrics

pytestmark = pytest.mark.filterwarnings("error")


def answers(truth: list[int], p_class: list[list[float]]) -> Answers:
    probabilities = np.array(p_class)
    return Answers(np.array(truth), probabilities.argmax(axis=1), probabilities)


def two_classes(truth: list[int], p_positive: list[float]) -> Answers:
    return answers(truth, [[1 - p, p] for p in p_positive])


def measured(given: Answers, weights: list[float] | None = None) -> dict[str, float]:
    row = np.ones((1, len(given.truth))) if weights is None else np.array([weights])
    return {name: values[0] for name, values in weighted_metrics(given, row).items()}


def undefined(given: Answers, weights: list[float] | None = None) -> set[str]:
    return {name for name, value in measured(given, weights).items() if np.isnan(value)}


def test_every_metric_is_given_one_value_a_weighting() -> None:
    values = weighted_metrics(two_classes([0, 1, 1], [0.2, 0.6, 0.9]), np.ones((4, 3)))
    assert tuple(values) == METRICS
    assert all(value.shape == (4,) for value in values.values())


def test_metrics_of_four_photos_worked_out_by_hand() -> None:
    values = measured(two_classes([1, 1, 0, 0], [0.9, 0.4, 0.6, 0.2]))
    assert values["accuracy"] == values["balanced_accuracy"] == 0.5
    assert values["precision"] == values["recall"] == values["f1"] == 0.5
    assert values["roc_auc"] == 0.75  # of four pairs only 0.4 against 0.6 is in the wrong order
    assert values["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.4, 0.8]).mean())
    # The two wrong answers share the bin of 0.6.
    assert values["ece"] == pytest.approx((2 * 0.6 + (1 - 0.9) + (1 - 0.8)) / 4)


def test_class_one_is_the_positive_of_two_classes() -> None:
    values = measured(two_classes([1, 0, 0, 0], [0.9, 0.9, 0.1, 0.1]))
    assert values["recall"] == 1
    assert values["precision"] == 0.5


def test_more_than_two_classes_are_averaged() -> None:
    sure = np.eye(3).tolist()
    values = measured(answers([0, 0, 1, 2], [sure[0], sure[1], sure[1], sure[2]]))
    assert values["recall"] == values["balanced_accuracy"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert values["precision"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert values["f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)


def test_balanced_accuracy_counts_each_class_alike() -> None:
    assert measured(two_classes([0] * 9 + [1], [0.1] * 10))["balanced_accuracy"] == 0.5


def test_equal_scores_count_one_half_in_the_roc_auc() -> None:
    assert measured(two_classes([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5]))["roc_auc"] == 0.5


def test_a_sure_and_wrong_answer_has_a_finite_loss() -> None:
    assert photo_losses(two_classes([1, 0], [0.0, 0.0])) == pytest.approx([15.94, 0], abs=0.01)


@pytest.mark.parametrize(("probability", "number"), [(0.0, 0), (0.05, 1), (0.5, 10), (0.99, 19), (1.0, 19)])
def test_a_calibration_bin_holds_its_lower_edge(probability: float, number: int) -> None:
    assert calibration_bins(np.array([probability]))[0] == number


def test_an_answer_as_sure_as_it_is_often_right_is_calibrated() -> None:
    assert measured(two_classes([1, 1, 1, 0], [0.75] * 4))["ece"] == 0


def test_a_slice_without_positives_has_no_recall_and_no_roc_auc() -> None:
    assert undefined(two_classes([0, 0], [0.1, 0.7])) == {"recall", "roc_auc"}


def test_a_slice_of_positives_alone_has_no_roc_auc() -> None:
    assert undefined(two_classes([1, 1], [0.1, 0.7])) == {"roc_auc"}


def test_without_a_predicted_positive_there_is_no_precision() -> None:
    assert undefined(two_classes([0, 1], [0.1, 0.2])) == {"precision"}


def test_without_positives_and_predicted_positives_there_is_no_f1_either() -> None:
    assert undefined(two_classes([0, 0], [0.1, 0.2])) == {"precision", "recall", "f1", "roc_auc"}


def test_a_class_without_photos_does_not_count_in_a_mean() -> None:
    values = measured(answers([0, 0, 1], [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]]))
    assert values["recall"] == pytest.approx((1 / 2 + 1) / 2)
    assert not np.isnan(values["roc_auc"])


def test_without_any_weight_nothing_is_defined() -> None:
    assert undefined(two_classes([0, 1], [0.1, 0.9]), weights=[0, 0]) == set(METRICS)


def test_a_photo_of_weight_zero_does_not_count() -> None:
    with_it = measured(two_classes([1, 0, 1], [0.9, 0.3, 0.1]), weights=[1, 1, 0])
    assert with_it == pytest.approx(measured(two_classes([1, 0], [0.9, 0.3])))
