import pytest
from pydantic import ValidationError

from gender_pipeline.registration.gate import RegistrationSettings, judge_candidate, reasons

CLASSES = ["female", "male"]
CHAMPION = {"version": "3", "accuracy": 0.9, "class_names": CLASSES, "drawn": False}


def judge(metrics, champion=None, classes=CLASSES, **settings):
    return judge_candidate(metrics, classes, champion or {}, RegistrationSettings(**settings))


def test_a_candidate_at_the_minimum_passes() -> None:
    assert judge({"test.accuracy": 0.8}, minimum={"test.accuracy": 0.8})["passed"]


def test_a_candidate_below_the_minimum_fails_with_the_reason() -> None:
    verdict = judge({"test.accuracy": 0.79}, minimum={"test.accuracy": 0.8})
    assert not verdict["passed"]
    assert reasons(verdict) == ["test.accuracy: expected at least 0.8, received 0.7900"]


@pytest.mark.parametrize("metrics", [{}, {"test.accuracy": float("nan")}])
def test_a_metric_that_is_missing_or_undefined_fails(metrics) -> None:
    assert not judge(metrics, minimum={"test.accuracy": 0.0})["passed"]


@pytest.mark.parametrize(("accuracy", "passed"), [(0.91, True), (0.89, True), (0.8899, False)])
def test_a_candidate_may_fall_behind_the_champion_by_the_margin_only(accuracy, passed) -> None:
    assert judge({"test.accuracy": accuracy}, CHAMPION, max_accuracy_drop=0.01)["passed"] is passed


def test_other_classes_than_the_champions_fail() -> None:
    verdict = judge({"test.accuracy": 1.0}, CHAMPION, classes=["male", "female"])
    assert reasons(verdict) == ["classes of production version 3: expected female, male, received male, female"]


def test_a_champion_trained_on_photos_never_yields_to_drawn_faces() -> None:
    assert not judge({"test.accuracy": 1.0}, CHAMPION, drawn=True)["passed"]
    assert judge({"test.accuracy": 1.0}, {**CHAMPION, "drawn": True}, drawn=False)["passed"]


def test_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(ValidationError, match="max_acuracy_drop"):
        RegistrationSettings.model_validate({"max_acuracy_drop": 0.1})
