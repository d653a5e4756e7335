"""Runs below a run: the rows of a table of trials, folds or recipes as nested MLflow runs, which the UI compares."""

import math
from collections.abc import Hashable, Mapping
from typing import Any, Final

import pandas as pd

from gender_pipeline.recipes import Recipe

_PARAM: Final = "params."
_STEP: Final = "epoch"


class ChildRuns:
    """The children of the active run; a name that comes again is the same child, whatever table it is in."""

    def __init__(self) -> None:
        self._run_ids: dict[str, str] = {}

    def log(self, table: pd.DataFrame, name_column: str) -> None:
        """Log a table under the active run, and say in that run's description how many children it has.

        Columns `params.<name>` are params; a setting of a recipe is called `recipe.<name>`, as in every other run.
        The other numbers are metrics, at the step that a column `epoch` gives where there is one. A text in a column
        `problem` marks the child as failed and becomes its tag `failure`. Undefined numbers are left out.
        """
        for name, rows in table.groupby(name_column, sort=False, observed=True):
            self._log_child(str(name), rows.drop(columns=name_column).to_dict("records"))
        self._describe(name_column)

    def _log_child(self, name: str, rows: list[dict[Hashable, Any]]) -> None:
        import mlflow

        problem = ""
        # Not a monitor of processor and memory for each child: they have all ended before they are logged.
        with mlflow.start_run(self._run_ids.get(name), run_name=name, nested=True, log_system_metrics=False) as run:
            for row in rows:
                values = {str(key): value for key, value in row.items()}
                step, problem = int(values.pop(_STEP, 0)), values.pop("problem", "")
                mlflow.log_params(_params(values))
                mlflow.log_metrics(_metrics(values), step=step)
            if problem:
                mlflow.set_tag("failure", problem[:5000])
        self._run_ids[name] = run.info.run_id
        if problem:
            # Only now: `with` ends a run as FINISHED, and to end it by hand would let `with` end the parent.
            mlflow.MlflowClient().set_terminated(run.info.run_id, "FAILED")

    def _describe(self, name_column: str) -> None:
        import mlflow

        active = mlflow.active_run()
        if active is None:
            return
        mark = " Its child runs: "
        note = mlflow.get_run(active.info.run_id).data.tags.get("mlflow.note.content", "").partition(mark)[0]
        mlflow.set_tag("mlflow.note.content", f"{note}{mark}{len(self._run_ids)}, one a {name_column}.")


def _params(row: Mapping[str, Any]) -> dict[str, Any]:
    names = {name: name.removeprefix(_PARAM) for name in row if name.startswith(_PARAM)}
    return {
        f"recipe.{short}" if short.partition(".")[0] in Recipe.model_fields else short: row[name]
        for name, short in names.items()
    }


def _metrics(row: Mapping[str, Any]) -> dict[str, float]:
    numbers = {name: value for name, value in row.items() if not name.startswith(_PARAM) and _is_number(value)}
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def _is_number(value: Any) -> bool:
    return bool(pd.api.types.is_number(value))
