"""What a run tells MLflow beyond the run's life cycle: where it comes from, what went in, what came out.

The runs that an experiment consists of (trials, folds, recipes) are the rows of a table, see `children`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from gender_pipeline.evaluation import flat_metrics
from gender_pipeline.hooks.children import ChildRuns
from gender_pipeline.hooks.provenance import provenance
from gender_pipeline.registration.proposal import split_digest
from gender_pipeline.schema import EXCLUDED


class TrackingHooks:
    """Logs to the run that `MlflowRun` opened; without one (chapters whose tracking is off) it does nothing."""

    def __init__(self) -> None:
        self._project = Path.cwd()
        self._catalog: CatalogProtocol[Any, Any] | None = None
        self._children = ChildRuns()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is."""
        self._project = context.project_path

    # `MlflowRun` comes before and has opened the run by now.
    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]) -> None:
        """Tag the run with commit, lock file, versions and hardware, and keep its resolved parameters."""
        import mlflow

        self._catalog, self._children = catalog, ChildRuns()
        if mlflow.active_run() is None:
            return
        parameters, env = catalog.load("parameters"), run_params["env"] or "base"
        chapters = ", ".join(run_params["pipeline_names"] or []) or "all chapters"
        mlflow.set_tags(
            {
                **provenance(self._project),
                "env": env,
                "mlflow.runName": f"{parameters['recipe']} ({env})",
                "mlflow.note.content": f"Recipe {parameters['recipe']}, {chapters}. {parameters['data_note']}",
            }
        )
        mlflow.log_dict(_plain(parameters), "parameters.yml")
        mlflow.log_params(_flatten("recipe", _plain(parameters["training"])))

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log metrics, curves, inputs, and what a data set's metadata asks for.

        `mlflow` names the artifact folder it is logged to, `mlflow_children` the column that names the child runs.
        """
        import mlflow

        if mlflow.active_run() is None or self._catalog is None:
            return
        if dataset_name in _SPECIAL:
            _SPECIAL[dataset_name](data)
        dataset = self._catalog.get(dataset_name)
        metadata = getattr(dataset, "metadata", None) or {}
        if "mlflow_children" in metadata:
            self._children.log(data, metadata["mlflow_children"])
        place, path = metadata.get("mlflow"), getattr(dataset, "path", None)
        if place is not None and path is not None:
            log = mlflow.log_artifacts if path.is_dir() else mlflow.log_artifact
            log(str(path), place)

    # Before `MlflowRun` closes the run as FAILED.
    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, error: Exception, pipeline: Pipeline) -> None:  # noqa: ARG002 pluggy matches by name
        """Tag the run with the reason."""
        import mlflow

        if mlflow.active_run() is not None:
            mlflow.set_tag("failure", f"{type(error).__name__}: {error}"[:5000])


def _log_metrics(metrics: dict[str, Any]) -> None:
    import mlflow

    mlflow.log_metrics(flat_metrics(metrics))


def _log_history(history: pd.DataFrame) -> None:
    import mlflow

    for row in history.to_dict("records"):
        step = int(row.pop("epoch"))
        mlflow.log_metrics({f"training.{name}": float(value) for name, value in row.items()}, step=step)


def _log_inputs(split_manifest: pd.DataFrame) -> None:
    """Log one input a source and split, with the digest of its photos and labels."""
    import mlflow
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    mlflow.set_tag("data.digest", split_digest(split_manifest))
    used = split_manifest[split_manifest["split"] != EXCLUDED]
    for (source, split), rows in used.groupby(["source", "split"], observed=True):
        tags = {"photos": str(len(rows)), "subjects": str(rows["group"].nunique())}
        dataset = MetaDataset(  # type: ignore[abstract]  # its abstract property has a default
            CodeDatasetSource(tags), name=f"{source}.{split}", digest=split_digest(rows)[:32]
        )
        mlflow.log_input(dataset, context=str(split), tags=tags)


def _log_weights(model: Any) -> None:
    import mlflow

    mlflow.set_tag("weights.digest", model.weights_digest)


def _log_choice(trials: pd.DataFrame) -> None:
    import mlflow

    mlflow.set_tag("search.chosen", trials.loc[trials["chosen"], "trial"].item())


_SPECIAL: Final[Mapping[str, Callable[[Any], None]]] = {
    "metrics": _log_metrics,
    "history": _log_history,
    "split_manifest": _log_inputs,
    "model": _log_weights,
    "trials": _log_choice,
}


def _plain(value: Any) -> Any:
    """Turn typed settings into dicts."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _flatten(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {name: leaf for key, item in value.items() for name, leaf in _flatten(f"{prefix}.{key}", item).items()}
