"""The MLflow run of a `kedro run`: kedro-mlflow's life cycle, without its params, on a server that others share."""

import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlparse

import mlflow
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.exceptions import MlflowException

from gender_pipeline.errors import TrackingError


class MlflowRun(MlflowHook):  # type: ignore[misc]  # kedro-mlflow ships no types
    """Opens, closes and fails the run as mlflow.yml says.

    kedro-mlflow would log every parameter of every node as params. A reviewer compares recipes: `TrackingHooks` logs
    those, and all the others as one file.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Connect to the tracking server and select the experiment.

        Raises:
            TrackingError: The server does not answer.
        """
        loader: Any = context.config_loader
        loader.config_patterns.setdefault("mlflow", ["mlflow*"])
        check_server(loader["mlflow"]["server"]["mlflow_tracking_uri"])
        try:
            super().after_context_created(context)
        except MlflowException as error:
            # Another clone has made the experiment since kedro-mlflow looked for it: now it is found.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            super().after_context_created(context)

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Open the run without tags of all of Kedro's run parameters, such as where the project is on this machine."""
        names = {"pipeline_names": run_params["pipeline_names"]}
        super().before_pipeline_run({**dict.fromkeys(run_params), **names}, pipeline, catalog)
        if mlflow.active_run() is not None:
            for tag in ("pipeline_names", "kedro_command") if run_params["pipeline_names"] else ("kedro_command",):
                mlflow.delete_tag(tag)

    def _log_param(self, name: str, value: Any) -> None:
        """Log nothing."""


def check_server(tracking_uri: str, timeout_s: float = 20) -> None:
    """Ask a tracking server for any answer; MLflow itself would try for four minutes before it gives up.

    Raises:
        TrackingError: There is none.
    """
    address = urlparse(tracking_uri)
    if address.scheme not in ("http", "https"):
        return
    try:
        urllib.request.urlopen(f"{tracking_uri.rstrip('/')}/health", timeout=timeout_s).close()  # noqa: S310 http or https
    except urllib.error.HTTPError:
        return  # one that asks for a password, say, is there
    except OSError as error:
        raise TrackingError(
            "the MLflow server does not answer",
            expected=f"one at {address.netloc.rpartition('@')[2]}",  # not the password that may stand before
            received=str(error),
            remedy="start it, or correct MLFLOW_TRACKING_URI",
        ) from error
