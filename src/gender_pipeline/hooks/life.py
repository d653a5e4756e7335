"""The life of a run: one at a time, none that would repeat the last one, and none that ends without a word."""

import atexit
import logging
import shlex
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from gender_pipeline.errors import SettingsError
from gender_pipeline.hooks.notification import RunFacts, failed_event, finished_event
from gender_pipeline.hooks.stopped import close_open_runs, mark_killed, session_tag
from gender_pipeline.hooks.unchanged import Catalog, check_unchanged, is_whole, key_now, path_of, run_inputs
from gender_pipeline.scheduling.leftovers import sweep, sweep_beside
from gender_pipeline.scheduling.notices import NotifySettings, notify
from gender_pipeline.scheduling.run_key import LastRun, forget_last_run, read_last_run, write_last_run
from gender_pipeline.scheduling.run_lock import Holder, RunLock
from gender_pipeline.scheduling.signals import Stop, stoppable
from gender_pipeline.schema import Settings

_log: Final = logging.getLogger(__name__)


class RunSettings(Settings):
    """How a run goes about it; nothing of it changes what comes out.

    Attributes:
        force: Run although it would repeat the last run.
        notify: Who is told how it ended.
    """

    force: bool = False
    notify: NotifySettings = NotifySettings()


@dataclass
class _OpenRun:
    """A run between its beginning and its end; to leave `stack` gives the lock back."""

    stack: ExitStack
    stop: Stop
    facts: RunFacts
    catalog: Catalog
    inputs: dict[str, Any] | None  # of a whole run
    guest: bool  # in an MLflow run that the caller opened, and will close
    key: str = ""


class LifeHooks:
    """Wraps all other hooks: it begins before MLflow opens a run, and ends after MLflow has closed it."""

    def __init__(self) -> None:
        self._project = Path.cwd()
        self._data_root = Path.cwd()
        self._config: dict[str, Any] = {}
        self._settings = RunSettings()
        self._run: _OpenRun | None = None
        # MLflow would close as FINISHED what is open when the process ends. It has been imported by now, so that this
        # comes before.
        atexit.register(self.end_stopped)

    # Before the hook of `MlflowRun`, which would go on with a run that is still open.
    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the project and its data are, and end a run that was interrupted in this very process."""
        self.end_stopped()
        self._project = context.project_path
        self._data_root = context.project_path / context.config_loader["globals"]["data_root"]

    @hook_impl
    def after_catalog_created(self, catalog: Catalog, conf_catalog: dict[str, Any]) -> None:
        """Take the run's own settings out of the parameters: they are recorded nowhere, a webhook is a secret.

        Raises:
            SettingsError: They are not as they should be.
        """
        self._config = conf_catalog
        parameters = catalog.load("parameters")
        own = {name: parameters.pop(name) for name in RunSettings.model_fields if name in parameters}
        self._settings = _checked(own)
        dataset: Any = catalog.get("parameters")
        dataset.save(parameters)

    @hook_impl(wrapper=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog
    ) -> Generator[None, Any, Any]:
        """Take the lock, clear up after a killed run, and see whether there is something to do.

        Raises:
            RunError: Another run is going on.
            NothingToDoError: The run would repeat the last one.
        """
        self._run = self._begin(run_params, pipeline, catalog)
        try:
            result = yield
        except BaseException as error:
            self._fail(error)
            raise
        self._run.facts = replace(self._run.facts, run_id=_active_run_id())
        return result

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str) -> None:
        """Take the key with the raw files as they are now: drawn, and not yet read."""
        if dataset_name == "raw_archives" and self._run is not None and self._run.inputs is not None:
            self._run.key = key_now(self._run.inputs, self._run.catalog)

    @hook_impl(wrapper=True)
    def on_pipeline_error(self, error: Exception) -> Generator[None, Any, Any]:
        """End the run, whatever the other hooks do."""
        try:
            return (yield)
        finally:
            self._fail(error)

    @hook_impl(wrapper=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: Catalog) -> Generator[None, Any, Any]:
        """End the run: remember a whole one, tell who wants to know, give the lock back."""
        try:
            result = yield
        except BaseException as error:
            self._fail(error)
            raise
        self._succeed(pipeline, catalog)
        return result

    def end_stopped(self) -> None:
        """End a run that Kedro left without a hook: Ctrl-C and other signals are no errors to it."""
        if self._run is not None:
            self._fail(KeyboardInterrupt(self._run.stop.reason))

    def _begin(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog) -> _OpenRun:
        import mlflow

        with ExitStack() as stack:
            lock = RunLock(self._data_root)
            killed = lock.acquire()
            stack.callback(lock.release)
            if killed is not None:
                _clear_up(killed, catalog, self._data_root)
            holder = lock.announce(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
            stop = stack.enter_context(stoppable())
            inputs = self._inputs(run_params, pipeline, catalog)
            last = read_last_run(self._data_root)
            if inputs is not None and not self._settings.force:
                check_unchanged(last, inputs, catalog)
            if last is not None and pipeline.all_outputs() & set(last.outputs):
                forget_last_run(self._data_root)
            stack.enter_context(session_tag(holder.session))
            facts = self._facts(run_params, holder, catalog)
            guest = mlflow.active_run() is not None
            return _OpenRun(stack.pop_all(), stop, facts, catalog, inputs, guest)

    def _inputs(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: Catalog) -> dict[str, Any] | None:
        if not is_whole(pipeline, pipelines["__default__"]):
            return None
        return run_inputs(self._project, catalog, self._config, pipeline=pipeline, env=run_params["env"])

    def _facts(self, run_params: dict[str, Any], holder: Holder, catalog: Catalog) -> RunFacts:
        return RunFacts(
            project=str(self._project),
            host=holder.host,
            env=run_params["env"] or "base",
            recipe=catalog.load("params:recipe"),
            pipelines=",".join(run_params["pipeline_names"] or []),
        )

    def _succeed(self, pipeline: Pipeline, catalog: Catalog) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        with run.stack:
            if run.key and run.facts.run_id:
                date = datetime.now(UTC).isoformat(timespec="seconds")
                outputs = tuple(sorted(pipeline.all_outputs()))
                last = LastRun(key=run.key, run_id=run.facts.run_id, date=date, outputs=outputs)
                write_last_run(self._data_root, last)
            if "registered_model" in pipeline.all_outputs():
                self._tell(lambda: finished_event(run.facts, catalog))

    def _fail(self, error: BaseException) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        stopped = isinstance(error, KeyboardInterrupt)
        reason = str(error) or "stopped by SIGINT" if stopped else f"{type(error).__name__}: {error}"
        with run.stack:
            facts = replace(run.facts, run_id=run.facts.run_id or _active_run_id())
            if not run.guest:
                close_open_runs("KILLED" if stopped else "FAILED", reason)
            self._tell(lambda: failed_event(facts, reason))

    def _tell(self, event: Callable[[], dict[str, Any]]) -> None:
        settings = self._settings.notify
        if not settings.command and not settings.webhook:
            return
        try:
            notify(settings, event(), self._project)
        # A server that is away now must not turn the end of a run into something else.
        except Exception as error:
            _log.warning("Nobody could be told how the run ended: %s", error)


def _clear_up(killed: Holder, catalog: Catalog, data_root: Path) -> None:
    """Do for a killed run what it could not do itself."""
    n_runs = mark_killed(killed.session, f"killed: process {killed.pid} ended without a word")
    paths = {name: path_of(catalog, name) for name in catalog}
    # Raw data is the user's: beside it there may be a half-drawn sample, in it nothing is ours.
    raw = paths.pop("raw_archives", None)
    places = [path for path in paths.values() if path is not None and path.is_relative_to(data_root)]
    swept = sweep(places) + (sweep_beside(raw) if raw is not None else [])
    _log.warning(
        "The run before (process %d on %s, since %s) was killed: %d MLflow runs marked, %d temporaries removed",
        killed.pid, killed.host, killed.since, n_runs, len(swept),
    )  # fmt: skip


def _checked(settings: dict[str, Any]) -> RunSettings:
    try:
        return RunSettings.model_validate(settings)
    except ValidationError as error:
        (first, *_) = error.errors(include_input=False, include_url=False)
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"{name}: {first['msg']}", remedy="see docs/how-to/run-on-a-schedule.md") from None


def _active_run_id() -> str:
    import mlflow

    active = mlflow.active_run()
    return "" if active is None else str(active.info.run_id)
