"""The verdict on a reproduction: what was recorded beside what came out, a row each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

Result = Literal["PASS", "FAIL", "not recorded"]

# What a run is, in the order of the story: a first FAIL says where the two part.
DIGESTS: Final = {
    "raw.digest": "raw data",
    "manifest.digest": "photos and labels",
    "data.digest": "split",
    "weights.digest": "weights",
    "predictions.digest": "predictions",
}
# On another kind of processor sums are rounded otherwise: the same run, but not the same bits.
_ROUNDED: Final = frozenset({"weights.digest", "predictions.digest"})
_MEASURED: Final = ("evaluation/", "training/")  # metrics of a model; seconds and system load differ at will


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What MLflow keeps of a run.

    Attributes:
        run_id: Its id.
        tags: Tags by name.
        metrics: Last values by name.
        seconds: How long it took; NaN where it has not ended.
    """

    run_id: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    seconds: float


def same_processor(recorded: RunRecord, new: RunRecord) -> bool:
    """Tell whether both ran on the same kind of processor."""
    kinds = {run.tags.get("hardware.processor", f"unknown of {run.run_id}") for run in (recorded, new)}
    return len(kinds) == 1


def verdict_table(recorded: RunRecord, new: RunRecord, tolerance: float) -> pd.DataFrame:
    """Compare two runs.

    Args:
        recorded: The run to reproduce.
        new: The same run again.
        tolerance: How far a metric may be off on another kind of processor; on the same kind all must be equal.

    Returns:
        One row a digest and a metric with the columns `what`, `recorded`, `new` and `result` (`PASS`, `FAIL`, or
        `not recorded` where the recorded run does not say). Digests that rounding changes are left out where the
        processors differ: the metrics speak for them.
    """
    exact = same_processor(recorded, new)
    rows = [
        _row(text, recorded.tags.get(tag), new.tags.get(tag))
        for tag, text in DIGESTS.items()
        if exact or tag not in _ROUNDED
    ]
    names = sorted(name for name in {**recorded.metrics, **new.metrics} if name.startswith(_MEASURED))
    allowed = 0.0 if exact else tolerance
    rows += [_metric_row(name, recorded.metrics.get(name), new.metrics.get(name), allowed) for name in names]
    return pd.DataFrame(rows, columns=["what", "recorded", "new", "result"])


def passed(table: pd.DataFrame) -> bool:
    """Tell whether weights or metrics were recorded, and nothing failed."""
    return bool((table["result"] == "PASS").any() and not (table["result"] == "FAIL").any())


def _row(what: str, recorded: str | None, new: str | None) -> tuple[str, str, str, Result]:
    result: Result = "not recorded" if recorded is None else "PASS" if recorded == new else "FAIL"
    return what, (recorded or "")[:16], (new or "")[:16], result


def _metric_row(name: str, recorded: float | None, new: float | None, allowed: float) -> tuple[str, str, str, Result]:
    if recorded is None:
        return name, "", _number(new), "not recorded"
    # Comparing with NaN is False: a metric that is undefined now but was not then does not pass.
    equal = new is not None and (abs(recorded - new) <= allowed or (recorded != recorded and new != new))
    return name, _number(recorded), _number(new), "PASS" if equal else "FAIL"


def _number(value: float | None) -> str:
    return "missing" if value is None else repr(float(value))
