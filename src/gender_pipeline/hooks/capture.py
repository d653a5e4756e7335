"""Before a run that will register a model: keep what it comes from, so that the version can be rebuilt."""

import logging
from pathlib import Path
from typing import Any, Final

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from gender_pipeline.errors import GenderPipelineError, ReproductionError
from gender_pipeline.reproduction.capture import Capture, RunInputs, capture_run, share_capture
from gender_pipeline.reproduction.environment import check_environment
from gender_pipeline.schema import plain
from gender_pipeline.sources import SourcesSettings, data_set_path

# What a run from raw archives reads beside them. Caches and checkpoints change how long it takes, not what comes out.
_FREE: Final = frozenset(
    {"raw_archives", "label_corrections", "previous_split", "champion", "feature_cache", "checkpoints"}
)
_LOG: Final = logging.getLogger(__name__)


class CaptureHooks:
    """Captures the run and tags it `reproducible`, or says why it is not; shares it once a model is registered."""

    def __init__(self) -> None:
        self._project = Path.cwd()
        self._globals: dict[str, Any] = {}
        self._capture: Capture | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the project and its globals."""
        self._project = context.project_path
        self._globals = dict(context.config_loader["globals"])

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Capture a run that goes from raw archives to a registered model."""
        import mlflow

        self._capture, active = None, mlflow.active_run()
        if active is None or "registered_model" not in pipeline.all_outputs():
            return
        raw = _path(catalog, "raw_archives")
        given = {name for name in pipeline.inputs() if not name.startswith(("params:", "parameters"))}
        try:
            _check_story(given - _FREE)
            check_environment(self._project)
            title = f"{catalog.load('params:recipe')} ({run_params['env'] or 'base'})"
            inputs = self._inputs(catalog, raw)
            self._capture = capture_run(self._project, active.info.run_id, inputs, title=title)
        except GenderPipelineError as error:
            _LOG.warning("The model of this run cannot be promoted, as it could not be rebuilt: %s", error)
            mlflow.set_tags({"reproducible": "false", "reproducible.why": str(error)[:5000]})
            return
        tags = {"run.commit": self._capture.commit, "run.ref": self._capture.ref, "raw.folder": str(raw)}
        mlflow.set_tags({"reproducible": "true", "raw.digest": self._capture.raw_digest, **tags})

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Share the capture of a version that is in the registry."""
        import mlflow

        if dataset_name != "registered_model" or self._capture is None or mlflow.active_run() is None:
            return
        try:
            shared = share_capture(self._project, self._capture)
        except GenderPipelineError as error:
            _LOG.warning("What this run came from could not be shared, it is in this clone only: %s", error)
            shared = False
        mlflow.set_tag("run.shared", str(shared).lower())

    def _inputs(self, catalog: CatalogProtocol[Any, Any], raw: Path) -> RunInputs:
        split = _path(catalog, "previous_split")
        drawn = catalog.load("params:sample.n_subjects") > 0
        return RunInputs(
            raw={} if drawn else _raw_paths(raw, catalog.load("params:sources")),
            previous_split=split if split.exists() else None,
            parameters=plain(catalog.load("parameters")),
            config_globals=self._globals,
        )


def _check_story(chapters: set[str]) -> None:
    if chapters:
        raise ReproductionError(
            "the run does not start at raw archives",
            expected="a run of all chapters: kedro run",
            received=f"one that starts from {', '.join(sorted(chapters))}",
        )


def _raw_paths(root: Path, sources: Any) -> dict[str, Path]:
    """Return where each data set lies, by the path below the raw root; one inside of another goes with that."""
    data_sets = SourcesSettings.model_validate(plain(sources)).data_sets.values()
    paths = {data_set_path(root, data_set) for data_set in data_sets}
    outer = [path for path in sorted(paths) if not paths & set(path.parents)]
    return {path.relative_to(root).as_posix(): path for path in outer}


def _path(catalog: CatalogProtocol[Any, Any], name: str) -> Path:
    dataset: Any = catalog.get(name)
    return Path(dataset.path)
