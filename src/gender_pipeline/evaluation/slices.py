"""The metrics of every split, overall and by source, as a JSON-able tree and under MLflow's names."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd

from gender_pipeline.errors import EvaluationError, examples
from gender_pipeline.evaluation.bootstrap import EvaluationSettings, subject_intervals
from gender_pipeline.evaluation.metrics import weighted_metrics
from gender_pipeline.evaluation.predictions import read_answers

OVERALL: Final = "all"

Slice: TypeAlias = dict[str, Any]
Metrics: TypeAlias = dict[str, dict[str, Slice]]


def measure(predictions: pd.DataFrame, settings: EvaluationSettings) -> Metrics:
    """Measure a predictions table by split, overall and by source.

    Returns:
        `{"test": {"all": slice, "celeba": slice, ...}, ...}` for the settings' splits which have photos, where a slice
        is `{"photos": n, "subjects": m, "metrics": {"accuracy": {"value": x, "low": x, "high": x}, ...}}`. Subjects
        are groups: two ids with near-duplicate photos are one. An undefined number is None.

    Raises:
        EvaluationError: No photo is in those splits, a source is called `all`, two sources have one name in MLflow,
            or the table is malformed.
    """
    slices = {split: predictions[predictions["split"] == split] for split in settings.splits}
    if all(photos.empty for photos in slices.values()):
        raise EvaluationError(
            "there are no photos to measure",
            expected=f"photos in {' or '.join(settings.splits)}",
            received=f"the splits {examples(predictions['split'].unique())}",
        )
    return {split: _measure_split(photos, settings) for split, photos in slices.items() if not photos.empty}


def flat_metrics(metrics: Metrics) -> dict[str, float]:
    """Name the numbers as MLflow takes them; those which are undefined are left out.

    Returns:
        `<split>.<metric>`, `<split>.<metric>_low`, `<split>.<metric>_high` and `<split>.<source>.<metric>`. What
        MLflow allows in no name becomes `_` in a source's name.
    """
    flat: dict[str, float | None] = {}
    for split, slices in metrics.items():
        for source, part in slices.items():
            for metric, interval in part["metrics"].items():
                if source == OVERALL:
                    name = f"{split}.{metric}"
                    flat |= {name: interval["value"], f"{name}_low": interval["low"], f"{name}_high": interval["high"]}
                else:
                    flat[f"{split}.{_mlflow_name(source)}.{metric}"] = interval["value"]
    return {name: value for name, value in flat.items() if value is not None}


def interval_text(interval: Mapping[str, float | None]) -> str:
    """Return a metric as text: `0.912 (0.901-0.924)`, without bounds if there are none, `undefined` without value."""
    if interval["value"] is None:
        return "undefined"
    bounds = "" if interval["low"] is None else f" ({interval['low']:.3f}\N{EN DASH}{interval['high']:.3f})"
    return f"{interval['value']:.3f}{bounds}"


def _measure_split(photos: pd.DataFrame, settings: EvaluationSettings) -> dict[str, Slice]:
    by_source = {str(source): part for source, part in photos.groupby("source", sort=True)}
    if OVERALL in by_source:
        raise EvaluationError(
            f"a source is called {OVERALL}, which is the name of all sources together", remedy="give it another name"
        )
    # Or one source's metrics would silently stand for the other's, also before the gate.
    if len({_mlflow_name(source) for source in by_source}) < len(by_source):
        raise EvaluationError(
            "two sources have the same name in MLflow",
            expected="names that differ in letters a-z, digits, `_`, `-`, `.` or blanks",
            received=examples(by_source),
            remedy="give one another name",
        )
    return {source: _measure_slice(part, settings) for source, part in {OVERALL: photos, **by_source}.items()}


def _mlflow_name(source: str) -> str:
    # MLflow allows a slash too, but none that a path would lose (`a//b`).
    return re.sub("[^A-Za-z0-9_. -]", "_", source)


def _measure_slice(photos: pd.DataFrame, settings: EvaluationSettings) -> Slice:
    answers, groups = read_answers(photos), photos["group"].to_numpy(dtype=object)
    values = weighted_metrics(answers, np.ones((1, len(photos))))
    intervals = subject_intervals(answers, groups, settings)
    return {
        "photos": len(photos),
        "subjects": int(photos["group"].nunique()),
        "metrics": {
            name: _defined({"value": float(value[0]), "low": intervals[name][0], "high": intervals[name][1]})
            for name, value in values.items()
        },
    }


def _defined(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Replace NaN by None: JSON has no NaN."""
    return {key: None if math.isnan(number) else number for key, number in numbers.items()}
