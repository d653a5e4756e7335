import pytest
from pydantic import ValidationError

from gender_pipeline.registration.gate import RegistrationSettings, judge_candidate, reasons

CLASSES = ["female", "male"]
VALID = {"success": True, "suites": {"all photos": {"success": True}}}
TEST = {"difference": 0.01, "low": -0.015, "high": 0.03, "p_value": 0.5, "photos": 90} | {
    "only_candidate": 3,
    "only_champion": 2,
}
CHAMPION = {"version": "3", "class_names": CLASSES, "drawn": False, "computed": 4, "test": TEST}


def judge(metrics, champion=None, classes=CLASSES, report=VALID, **settings):
    return judge_candidate(
        metrics, classes, champion or {}, validation_report=report, settings=RegistrationSettings(**settings)
    )


def test_a_candidate_at_the_minimum_passes() -> None:
    verdict = judge({"test.accuracy": 0.8}, minimum={"test.accuracy": 0.8})
    assert (verdict["passed"], verdict["champion"]) == (True, "")


def test_a_candidate_below_the_minimum_fails_with_the_reason() -> None:
    verdict = judge({"test.accuracy": 0.79}, minimum={"test.accuracy": 0.8})
    assert not verdict["passed"]
    assert reasons(verdict["checks"]) == ["test.accuracy: expected at least 0.8, received 0.7900"]


@pytest.mark.parametrize("metrics", [{}, {"test.accuracy": float("nan")}])
def test_a_metric_that_is_missing_or_undefined_fails(metrics) -> None:
    assert not judge(metrics, minimum={"test.accuracy": 0.0})["passed"]


def test_a_floor_holds_for_one_source() -> None:
    verdict = judge({"test.accuracy": 0.9, "test.muct.f1": 0.4}, minimum={"test.muct.f1": 0.5})
    assert reasons(verdict["checks"]) == ["test.muct.f1: expected at least 0.5, received 0.4000"]


def test_a_star_is_every_source_also_where_the_metric_is_undefined() -> None:
    metrics = {"test.loss": 0.1, "test.f1": 0.9, "test.a.loss": 0.2, "test.a.f1": 0.6, "test.b v.2.loss": 0.3}
    verdict = judge(metrics, minimum={"test.*.f1": 0.5})
    assert reasons(verdict["checks"]) == ["test.b v.2.f1: expected at least 0.5, received no such metric"]
    assert [check["name"] for check in verdict["checks"]] == ["validation", "test.a.f1", "test.b v.2.f1"]


def test_a_star_without_any_source_fails() -> None:
    assert not judge({"test.loss": 0.1}, minimum={"test.*.f1": 0.0})["passed"]


def test_photos_that_broke_expectations_fail_and_name_the_suite() -> None:
    report = {"success": False, "suites": {"all photos": {"success": True}, "photos of muct": {"success": False}}}
    verdict = judge({}, report=report)
    expected = "validation: expected all expectations hold, received broken ones for photos of muct"
    assert reasons(verdict["checks"]) == [expected]


@pytest.mark.parametrize(("low", "passed"), [(0.0, True), (-0.0199, True), (-0.02, False), (None, False)])
def test_the_bound_of_the_difference_must_lie_above_the_margin(low, passed) -> None:
    champion = {**CHAMPION, "test": {**TEST, "low": low, "high": low}}
    assert judge({}, champion, champion_margin=0.02)["passed"] is passed


def test_the_verdict_shows_difference_bounds_and_p_value() -> None:
    verdict = judge({}, CHAMPION, champion_margin=0.01)
    assert verdict["champion"] == "3"
    assert reasons(verdict["checks"]) == [
        "accuracy against production version 3: expected a difference above -0.01 with 95 % confidence, received "
        "+0.0100 (bounds -0.0150 and +0.0300; of 90 photos 3 right in the candidate only, 2 in the champion only, "
        "McNemar p = 0.5; 4 answers of the champion computed anew)"
    ]


def test_without_test_photos_nothing_replaces_a_champion() -> None:
    assert not judge({}, {**CHAMPION, "test": None})["passed"]


def test_other_classes_than_the_champions_fail() -> None:
    verdict = judge({}, CHAMPION, classes=["male", "female"])
    expected = "classes of production version 3: expected female, male, received male, female"
    assert reasons(verdict["checks"]) == [expected]


def test_a_champion_trained_on_photos_never_yields_to_drawn_faces() -> None:
    assert not judge({}, CHAMPION, drawn=True)["passed"]
    assert judge({}, {**CHAMPION, "drawn": True}, drawn=False)["passed"]


def test_a_misspelt_setting_is_an_error() -> None:
    with pytest.raises(ValidationError, match="champion_marign"):
        RegistrationSettings.model_validate({"champion_marign": 0.1})
