from typing import Any

import pytest

from gender_pipeline.errors import DataValidationError
from gender_pipeline.validation import ValidationSettings, check_gate

SETTINGS = ValidationSettings()


def entry(expected: str, observed: object, *, success: bool = False, column: str | None = "label") -> dict[str, Any]:
    return {"expectation": "x", "column": column, "success": success, "observed": observed, "expected": expected}


def report(*entries: dict[str, Any], **classes: int) -> dict[str, Any]:
    suites = {"photos of celeba": {"success": False, "numbers": {}, "expectations": list(entries)}}
    return {"success": False, "classes": classes or {"female": 5, "male": 5}, "suites": suites}


def test_photos_that_meet_all_expectations_pass() -> None:
    check_gate(report(entry("a", 1, success=True)), SETTINGS)


def test_a_broken_expectation_stops_the_run_in_one_line_with_the_remedy() -> None:
    broken = entry("at least 0.8 of the photos\nhave a label", 1 / 3)
    message = (
        r"^1 of 2 expectations are broken; expected \[photos of celeba: at least 0.8 of the photos have a label\]; "
        r"received \[label: 0.3333\]; .*Data Docs.*conf/<env>/parameters/validation.yml$"
    )
    with pytest.raises(DataValidationError, match=message):
        check_gate(report(entry("fine", 1, success=True), broken), SETTINGS)


def test_at_most_five_broken_expectations_are_named() -> None:
    broken = [entry(f"number {number}", number, column=None) for number in range(7)]
    with pytest.raises(
        DataValidationError, match=r"number 4\] and 2 more; received .*\[table: 4\] and 2 more"
    ) as error:
        check_gate(report(*broken), SETTINGS)
    assert "number 5" not in str(error.value)


@pytest.mark.parametrize("classes", [{"female": 12, "male": 0}, {"female": 0, "male": 0}, {"cat": 3, "female": 1}])
def test_one_class_is_nothing_to_tell_apart(classes: dict[str, int]) -> None:
    message = (
        f"fewer than two classes .*expected photos of female and male; received {classes['female']} female, 0 male"
    )
    with pytest.raises(DataValidationError, match=message):
        check_gate(report(entry("a", 1), **classes), SETTINGS)
