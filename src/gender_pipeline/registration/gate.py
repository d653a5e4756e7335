"""The gate: valid photos, minimum metrics overall and by source, not worse than the champion on the same photos."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field

from gender_pipeline.errors import examples
from gender_pipeline.schema import Settings


class RegistrationSettings(Settings):
    """How a candidate is judged and promoted.

    Attributes:
        model_name: Name in the model registry.
        minimum: Least value a metric must reach, by metric name: `test.accuracy` overall, `test.celeba.f1` of one
            source, `test.*.accuracy` of every source.
        champion_margin: How far the candidate's accuracy may lie below the champion's on the same test photos, in
            (0, 1]: the lower confidence bound of the difference must lie above `-champion_margin`.
        confidence: Confidence of that bound, one-sided.
        promote: `auto` moves a passing version to `production`; `manual` stops at `staging`.
        drawn: Whether the data is the drawn sample; a champion trained on photos never yields to drawn faces.
    """

    model_name: str = Field(default="gender-classifier", pattern=r"^[\w .-]+$")
    minimum: dict[str, float] = Field(default_factory=dict)
    champion_margin: Annotated[float, Field(gt=0, le=1)] = 0.02
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    promote: Literal["auto", "manual"] = "auto"
    drawn: bool = False


class Check(TypedDict):
    """One line of the verdict."""

    name: str
    expected: str
    received: str
    passed: bool


class Verdict(TypedDict):
    """Outcome of the gate: `passed` where all checks are; `champion` is the version it was compared with, or empty."""

    passed: bool
    champion: str
    checks: list[Check]


def judge_candidate(
    metrics: Mapping[str, float],
    class_names: Sequence[str],
    champion_score: Mapping[str, Any],
    *,
    validation_report: Mapping[str, Any],
    settings: RegistrationSettings,
) -> Verdict:
    """Judge a candidate.

    Args:
        metrics: The candidate's metrics by name (`test.accuracy`); a metric that is missing fails its check.
        class_names: The candidate's classes in index order.
        champion_score: What `score_on_test` says of the champion; empty without one.
        validation_report: What validation reported of the photos.
        settings: Thresholds.

    Returns:
        The verdict with a check for validation, one a threshold and source, and three for the champion.
    """
    floors = [(name, least) for pattern, least in settings.minimum.items() for name in _named(pattern, metrics)]
    checks = [_valid(validation_report), *(_minimum(name, least, metrics.get(name)) for name, least in floors)]
    if champion_score:
        checks += _against_champion(class_names, champion_score, settings)
    champion = str(champion_score.get("version", ""))
    return Verdict(passed=all(check["passed"] for check in checks), champion=champion, checks=checks)


def reasons(checks: Sequence[Check]) -> list[str]:
    """Return one line for each check that failed."""
    return [
        f"{check['name']}: expected {check['expected']}, received {check['received']}"
        for check in checks
        if not check["passed"]
    ]


def _valid(report: Mapping[str, Any]) -> Check:
    broken = [name for name, suite in report["suites"].items() if not suite["success"]]
    received = f"broken ones for {examples(broken)}" if broken else "all expectations hold"
    return Check(name="validation", expected="all expectations hold", received=received, passed=bool(report["success"]))


def _named(pattern: str, metrics: Mapping[str, float]) -> list[str]:
    """Return the names a pattern stands for: `test.*.f1` is `test.<source>.f1` of every source, defined or not."""
    split, star, metric = pattern.partition(".*.")
    # Of a source with photos the loss is always defined; any other metric may be missing there and must be missed.
    prefix, suffix = f"{split}.", ".loss"
    sources = [
        name.removeprefix(prefix).removesuffix(suffix)
        for name in metrics
        if name.startswith(prefix) and name.endswith(suffix) and name != f"{split}{suffix}"
    ]
    return [f"{split}.{source}.{metric}" for source in sources] if star and sources else [pattern]


def _minimum(name: str, least: float, value: float | None) -> Check:
    # A comparison with NaN is False: a metric that cannot be computed does not pass.
    passed = value is not None and value >= least
    received = "no such metric" if value is None else f"{value:.4f}"
    return Check(name=name, expected=f"at least {least}", received=received, passed=passed)


def _against_champion(
    class_names: Sequence[str], champion: Mapping[str, Any], settings: RegistrationSettings
) -> list[Check]:
    version = champion["version"]
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
    return [_not_worse(champion, settings), classes, kind]


def _not_worse(champion: Mapping[str, Any], settings: RegistrationSettings) -> Check:
    low = champion["test"] and champion["test"]["low"]
    return Check(
        name=f"accuracy against production version {champion['version']}",
        expected=f"a difference above {-settings.champion_margin:g} with {settings.confidence * 100:g} % confidence",
        received=_difference_text(champion["test"], champion["computed"]) if champion["test"] else "no test photos",
        passed=low is not None and low > -settings.champion_margin,
    )


def _difference_text(test: Mapping[str, Any], computed: int) -> str:
    low, high = test["low"], test["high"]
    bounds = "no bounds from a single subject" if low is None else f"bounds {low:+.4f} and {high:+.4f}"
    return (
        f"{test['difference']:+.4f} ({bounds}; of {test['photos']} photos {test['only_candidate']} right in the "
        f"candidate only, {test['only_champion']} in the champion only, McNemar p = {test['p_value']:.3g}; "
        f"{computed} answers of the champion computed anew)"
    )
