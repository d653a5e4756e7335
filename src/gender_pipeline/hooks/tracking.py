"""What a run tells MLflow beyond the run's life cycle: where it comes from, what went in, what came out.

The runs that an experiment consists of (trials, folds, recipes) are the rows of a table, see `children`.
"""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Node, Pipeline

from gender_pipeline.hooks.children import ChildRuns, ChildTable
from gender_pipeline.hooks.contents import CONTENTS, STARTING_POINTS
from gender_pipeline.hooks.description import Story, describe
from gender_pipeline.hooks.provenance import parameters_digest, provenance
from gender_pipeline.schema import plain

# Makes the UI show training runs and charts first, not pages for chat programs.
_EXPERIMENT_TAGS: Final = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.note.content": "One run a `kedro run`; trials, folds and compared recipes are nested below theirs.",
}


class TrackingHooks:
    """Logs to the run that `MlflowRun` opened; without one (chapters whose tracking is off) it does nothing."""

    def __init__(self) -> None:
        self._project = Path.cwd()
        self._catalog: CatalogProtocol[Any, Any] | None = None
        self._children = ChildRuns()
        self._story: Story | None = None
        self._seen: set[str] = set()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project is."""
        self._project = context.project_path

    # `MlflowRun` comes before and has opened the run by now.
    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]) -> None:
        """Tag the run with commit, lock file, versions and hardware, and keep its resolved parameters."""
        import mlflow

        self._catalog, self._story = catalog, None
        self._seen.clear()
        if mlflow.active_run() is None:
            return
        parameters, env = plain(catalog.load("parameters")), run_params["env"] or "base"
        chapters = list(run_params["pipeline_names"] or [])
        name = f"{parameters['recipe']} ({env})" + (f": {', '.join(chapters)}" if chapters else "")
        self._children = ChildRuns(name)
        mlflow.set_experiment_tags(_EXPERIMENT_TAGS)
        mlflow.set_tags(
            {
                **provenance(self._project),
                "env": env,
                "pipelines": ",".join(chapters),
                "parameters.digest": parameters_digest(parameters),
                "command": shlex.join(["kedro", *sys.argv[1:]])[:5000],
                "mlflow.source.name": "kedro run",  # MLflow's own is where this machine keeps the program
                "mlflow.runName": name,
            }
        )
        mlflow.log_dict(parameters, "parameters.yml")
        mlflow.log_params(_flatten("recipe", parameters["training"]))
        confidence = parameters["evaluation"]["confidence"]
        self._story = Story(parameters["training"], parameters["data_note"], chapters, confidence)
        self._describe()

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """Log what a run starts from as if it had made it."""
        if dataset_name in STARTING_POINTS and dataset_name not in self._seen:
            self._log_content(dataset_name, data)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Log metrics, curves, inputs, and what a data set's metadata asks for.

        `mlflow` names the artifact folder it is logged to, `mlflow_file` a file of a folder where that one is enough,
        and `mlflow_children` how rows become child runs.
        """
        import mlflow

        if self._story is None or self._catalog is None:
            return
        self._log_content(dataset_name, data)
        dataset: Any = self._catalog.get(dataset_name)
        metadata = getattr(dataset, "metadata", None) or {}
        if "mlflow_children" in metadata:
            self._children.log(data, ChildTable.model_validate(metadata["mlflow_children"]))
            self._story.children = f"{self._children.count} child runs, one a row of `{dataset_name}`"
        if place := metadata.get("mlflow"):
            path = dataset.path / metadata.get("mlflow_file", "")
            log = mlflow.log_artifacts if path.is_dir() else mlflow.log_artifact
            log(str(path), place)
            self._story.artifacts[dataset_name] = f"{place}/{path.name}"
        if dataset_name == "registered_model":
            self._story.answer = dataset.load()

    # Before `MlflowRun` closes the run.
    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """Describe the run, now that it is known how it ended."""
        self._describe()

    @hook_impl
    def on_node_error(self, error: Exception, node: Node) -> None:
        """Remember what failed."""
        if self._story is not None:
            self._story.failure = f"in {node.name}: {type(error).__name__}: {error}"[:5000]

    # Before `MlflowRun` closes the run as FAILED.
    @hook_impl(tryfirst=True)
    def on_pipeline_error(self, error: Exception, pipeline: Pipeline) -> None:  # noqa: ARG002 pluggy matches by name
        """Tag the run with the reason."""
        import mlflow

        if mlflow.active_run() is not None:
            mlflow.set_tag("failure", f"{type(error).__name__}: {error}"[:5000])
            self._describe()

    def _log_content(self, name: str, data: Any) -> None:
        if name in CONTENTS and self._story is not None:
            self._seen.add(name)
            CONTENTS[name](data, self._story)

    def _describe(self) -> None:
        import mlflow

        active = mlflow.active_run()
        if active is None or self._story is None:
            return
        tags = mlflow.get_run(active.info.run_id).data.tags
        page = f"#/experiments/{active.info.experiment_id}/runs/{active.info.run_id}"
        mlflow.set_tag("mlflow.note.content", describe(self._story, page, tags))


def _flatten(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {name: leaf for key, item in value.items() for name, leaf in _flatten(f"{prefix}.{key}", item).items()}
