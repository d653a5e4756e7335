"""The gate: minimum metrics, and not worse than the champion on the same test photos."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from pydantic import Field

from gender_pipeline.schema import Settings


class RegistrationSettings(Settings):
    """How a candidate is judged and promoted.

    Attributes:
        model_name: Name in the model registry.
        minimum: Least value a metric must reach, by metric name (`test.accuracy`, `test.celeba.f1`).
        max_accuracy_drop: How far the test accuracy may lie below the champion's on the same photos, in [0, 1].
        promote: `auto` moves a passing version to `production`; `manual` stops at `staging`.
        drawn: Whether the data is the drawn sample; a champion trained on photos never yields to drawn faces.
    """

    model_name: str = Field(default="gender-classifier", pattern=r"^[\w .-]+$")
    minimum: dict[str, float] = Field(default_factory=dict)
    max_accuracy_drop: float = Field(default=0.01, ge=0, le=1)
    promote: Literal["auto", "manual"] = "auto"
    drawn: bool = False


class Check(TypedDict):
    """One line of the verdict."""

    name: str
    expected: str
    received: str
    passed: bool


class Verdict(TypedDict):
    """Outcome of the gate: `passed` is True where all checks are."""

    passed: bool
    checks: list[Check]


def judge_candidate(
    metrics: Mapping[str, float],
    class_names: Sequence[str],
    champion_score: Mapping[str, Any],
    settings: RegistrationSettings,
) -> Verdict:
    """Judge a candidate.

    Args:
        metrics: The candidate's metrics by name (`test.accuracy`); a metric that is missing fails its check.
        class_names: The candidate's classes in index order.
        champion_score: `version`, `accuracy`, `class_names` and `drawn` of the champion; empty without one.
        settings: Thresholds.

    Returns:
        The verdict with one check a threshold, and three for the champion.
    """
    checks = [_minimum(name, least, metrics.get(name)) for name, least in settings.minimum.items()]
    if champion_score:
        checks += _against_champion(metrics, class_names, champion_score, settings)
    return Verdict(passed=all(check["passed"] for check in checks), checks=checks)


def reasons(verdict: Verdict) -> list[str]:
    """Return one line for each check that failed."""
    return [
        f"{check['name']}: expected {check['expected']}, received {check['received']}"
        for check in verdict["checks"]
        if not check["passed"]
    ]


def _minimum(name: str, least: float, value: float | None) -> Check:
    # A comparison with NaN is False: a metric that cannot be computed does not pass.
    passed = value is not None and value >= least
    received = "no such metric" if value is None else f"{value:.4f}"
    return Check(name=name, expected=f"at least {least}", received=received, passed=passed)


def _against_champion(
    metrics: Mapping[str, float],
    class_names: Sequence[str],
    champion: Mapping[str, Any],
    settings: RegistrationSettings,
) -> list[Check]:
    version, least = champion["version"], champion["accuracy"] - settings.max_accuracy_drop
    accuracy = _minimum(
        f"test.accuracy against production version {version}", round(least, 6), metrics.get("test.accuracy")
    )
    classes = Check(
        name=f"classes of production version {version}",
        expected=", ".join(champion["class_names"]),
        received=", ".join(class_names),
        passed=list(champion["class_names"]) == list(class_names),
    )
    kind = Check(
        name=f"kind of data of production version {version}",
        expected="drawn faces" if champion["drawn"] else "photos",
        received="drawn faces" if settings.drawn else "photos",
        passed=champion["drawn"] or not settings.drawn,
    )
    return [accuracy, classes, kind]
