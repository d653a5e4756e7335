"""The MLflow run of a `kedro run`: kedro-mlflow's life cycle, without its params."""

from typing import Any

from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook


class MlflowRun(MlflowHook):  # type: ignore[misc]  # kedro-mlflow ships no types
    """Opens, closes and fails the run as mlflow.yml says.

    kedro-mlflow would log every parameter of every node as params. A reviewer compares recipes: `TrackingHooks` logs
    those, and all the others as one file.
    """

    def _log_param(self, name: str, value: Any) -> None:
        """Log nothing."""
