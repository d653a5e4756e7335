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

from gender_pipeline.hooks.children import SOURCE, ChildRuns, ChildTable
from gender_pipeline.hooks.contents import CONTENTS, STARTING_POINTS
from gender_pipeline.hooks.description import Story, describe, describe_version
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
        active = mlflow.active_run()
        if active is None:
            return
        parameters, env = plain(catalog.load("parameters")), run_params["env"] or "base"
        chapters = sorted(run_params["pipeline_names"] or [])  # Kedro gives a set
        name = _run_name(f"{parameters['recipe']} ({env})", chapters, run_params.get("runtime_params") or {})
        params = _flatten("recipe", parameters["training"])
        self._children = ChildRuns(name, params)
        for tag, value in _EXPERIMENT_TAGS.items():
            mlflow.MlflowClient().set_experiment_tag(active.info.experiment_id, tag, value)
        request = {"env": env, "pipelines": ",".join(chapters), "mlflow.runName": name}
        mlflow.set_tags({**provenance(self._project), **request, **_command(parameters)})
        mlflow.log_dict(parameters, "parameters.yml")
        mlflow.log_params(params)
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
            _link_version(self._story.answer)

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
        mlflow.set_tag("mlflow.note.content", describe(self._story, _page(active), tags))


def _run_name(recipe: str, chapters: list[str], runtime_params: Mapping[str, Any]) -> str:
    """Return the recipe, the chapters unless all, and what was asked for of the recipe on the command line."""
    asked = _flatten("", runtime_params.get("training", {}))
    details = [*chapters, *(f"{name.removeprefix('.')}={value}" for name, value in asked.items())]
    return f"{recipe}: {', '.join(details)}" if details else recipe


def _command(parameters: Mapping[str, Any]) -> dict[str, str]:
    return {
        "command": shlex.join(["kedro", *sys.argv[1:]])[:5000],
        "parameters.digest": parameters_digest(parameters),
        **SOURCE,
    }


def _page(run: Any) -> str:
    return f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def _link_version(answer: Mapping[str, Any]) -> None:
    """Add to the description of a version which run made it; that may be an earlier one."""
    import mlflow

    client, run = mlflow.MlflowClient(), mlflow.get_run(answer["run_id"])
    card = client.get_model_version(answer["name"], answer["version"]).description or ""
    text = describe_version(card, run.info.run_name, _page(run), run.data.tags)
    client.update_model_version(answer["name"], answer["version"], description=text)


def _flatten(prefix: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {name: leaf for key, item in value.items() for name, leaf in _flatten(f"{prefix}.{key}", item).items()}
