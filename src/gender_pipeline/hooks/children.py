"""Runs below a run: the rows of a table of trials, folds or recipes as nested MLflow runs, which the UI compares."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import pandas as pd

from gender_pipeline.recipes import Recipe
from gender_pipeline.schema import Settings

_PARAM: Final = "params."
_STEP: Final = "epoch"
# Neither is measured: where on a curve a point is, and in which part of the training.
NOT_MEASURED: Final = frozenset({_STEP, "phase"})
_PROBLEM: Final = "problem"
# MLflow's own is where this machine keeps the program.
SOURCE: Final = {"mlflow.source.name": "kedro run"}


class ChildTable(Settings):
    """How the rows of a table become runs; `metadata.mlflow_children` of its entry in the catalog.

    Attributes:
        name: The column that names a row's run; rows of one name are one run.
        chapter: What a metric's name begins with, as it does in a run of its own: `training` makes `training/val_loss`
            of the column `val_loss`.
        metrics: Full names of metrics for which that does not hold, by column.
        same_recipe: Whether a row's run has the recipe of its parent, but for the settings that the row names.
    """

    name: str
    chapter: str
    metrics: Mapping[str, str] = {}
    same_recipe: bool = False

    def metric_name(self, column: str) -> str:
        """Return the name of a column's metric, with `_` for what MLflow allows in no name."""
        return re.sub("[^A-Za-z0-9_. /-]", "_", self.metrics.get(column, f"{self.chapter}/{column}"))


class ChildRuns:
    """The children of the active run; a name that comes again is the same child, whatever table it is in.

    Args:
        parent: Name of the active run.
        params: Params of the active run.
    """

    def __init__(self, parent: str = "", params: Mapping[str, Any] | None = None) -> None:
        self._parent = parent
        self._params = params or {}
        self._run_ids: dict[str, str] = {}
        self._logged: set[tuple[str, str]] = set()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._run_ids)

    def log(self, table: pd.DataFrame, kind: ChildTable) -> None:
        """Log a table under the active run; rows that are logged already, from a shorter table, are left alone.

        Columns `params.<name>` are params; a setting of a recipe is called `recipe.<name>`, as in every other run.
        The other numbers are metrics, at the step that a column `epoch` gives where there is one, and truth values are
        tags. A text in a column `problem` marks the child as failed and becomes its tag `failure`. Undefined numbers
        are left out.
        """
        for name, rows in table.groupby(kind.name, sort=False, observed=True):
            records = [
                {str(key): value for key, value in row.items()}
                for row in rows.drop(columns=kind.name).to_dict("records")
            ]
            fresh = [row for row in records if (str(name), repr(row)) not in self._logged]
            if fresh:
                self._log_child(str(name), fresh, kind)
            self._logged |= {(str(name), repr(row)) for row in fresh}

    def _log_child(self, name: str, rows: list[dict[str, Any]], kind: ChildTable) -> None:
        import mlflow

        active = mlflow.active_run()
        experiment = active.info.experiment_id if active else None
        about = f"{name}, one of the rows of {self._parent}."
        problem = str(rows[-1].get(_PROBLEM) or "")
        # Not a monitor of processor and memory for each child: they have all ended before they are logged.
        with mlflow.start_run(
            self._run_ids.get(name),
            experiment,
            run_name=name,
            nested=True,
            tags={**SOURCE, "mlflow.note.content": about},
            log_system_metrics=False,
        ) as run:
            for row in rows:
                mlflow.log_params({**(self._params if kind.same_recipe else {}), **_params(row)})
                mlflow.log_metrics(_metrics(row, kind), step=int(row.get(_STEP, 0)))
                mlflow.set_tags({key: str(value).lower() for key, value in row.items() if pd.api.types.is_bool(value)})
            if problem:
                mlflow.set_tag("failure", problem[:5000])
        self._run_ids[name] = run.info.run_id
        if problem:
            # Only now: `with` ends a run as FINISHED, and to end it by hand would let `with` end the parent.
            mlflow.MlflowClient().set_terminated(run.info.run_id, "FAILED")


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Return those values that are defined numbers."""
    kinds = pd.api.types
    numbers: dict[str, Any] = {
        name: value for name, value in values.items() if kinds.is_number(value) and not kinds.is_bool(value)
    }
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def _params(row: Mapping[str, Any]) -> dict[str, Any]:
    names = {name: name.removeprefix(_PARAM) for name in row if name.startswith(_PARAM)}
    return {
        f"recipe.{short}" if short.partition(".")[0] in Recipe.model_fields else short: row[name]
        for name, short in names.items()
    }


def _metrics(row: Mapping[str, Any], kind: ChildTable) -> dict[str, float]:
    measured = {name: value for name, value in row.items() if not name.startswith(_PARAM) and name not in NOT_MEASURED}
    return {kind.metric_name(name): value for name, value in finite(measured).items()}
