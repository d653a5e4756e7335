"""`LifeHooks` among other hooks, called as Kedro calls them."""

import json
import signal
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from gender_pipeline.errors import RunError, SettingsError
from gender_pipeline.hooks.life import LifeHooks
from gender_pipeline.scheduling.run_key import LastRun, read_last_run, write_last_run
from gender_pipeline.scheduling.run_lock import HOLDER_FILE, Holder, RunLock

PIPELINE = Pipeline([Node(lambda value: value, "a", "b", name="copy")])
RUN_PARAMS = {"env": "smoke", "pipeline_names": ["copy"]}


class Tracking:
    """Stands for the hooks that `LifeHooks` wraps: opens an MLflow run, may fail, and sees the lock held."""

    def __init__(self, root: Path) -> None:
        self.root, self.fails, self.locked = root, "", []

    @hook_impl
    def before_pipeline_run(self) -> None:
        self.locked.append((self.root / HOLDER_FILE).exists())
        self.run_id = mlflow.start_run(experiment_id="0", log_system_metrics=False).info.run_id
        self._fail("before")

    @hook_impl
    def after_pipeline_run(self) -> None:
        self.locked.append((self.root / HOLDER_FILE).exists())
        self._fail("after")
        mlflow.end_run()

    @hook_impl
    def on_pipeline_error(self) -> None:
        self.locked.append((self.root / HOLDER_FILE).exists())
        mlflow.end_run("FAILED")

    def _fail(self, where: str) -> None:
        if self.fails == where:
            raise OSError("no disk")


@pytest.fixture
def life(tmp_path, monkeypatch):
    story = Pipeline([Node(lambda value: value, "raw_archives", "registered_model", name="story")])
    monkeypatch.setattr("gender_pipeline.hooks.life.pipelines", {"__default__": story})
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    hooks = LifeHooks()
    hooks.after_context_created(
        SimpleNamespace(project_path=tmp_path, config_loader={"globals": {"data_root": "data"}})
    )
    yield hooks
    hooks.end_stopped()
    mlflow.end_run()
    mlflow.set_tracking_uri(None)


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def tracking(root) -> Tracking:
    return Tracking(root)


@pytest.fixture
def hook(life, tracking):
    manager = _create_hook_manager()
    manager.register(life)
    manager.register(tracking)
    return manager.hook


@pytest.fixture
def catalog() -> DataCatalog:
    return DataCatalog({"parameters": MemoryDataset({"recipe": "tiny"}), "params:recipe": MemoryDataset("tiny")})


def begin(hook, catalog) -> None:
    hook.before_pipeline_run(run_params=RUN_PARAMS, pipeline=PIPELINE, catalog=catalog)


def fail(hook, catalog, error: Exception) -> None:
    hook.on_pipeline_error(error=error, run_params=RUN_PARAMS, pipeline=PIPELINE, catalog=catalog)


def end(hook, catalog) -> None:
    hook.after_pipeline_run(run_params=RUN_PARAMS, run_result={}, pipeline=PIPELINE, catalog=catalog)


def state(tracking) -> tuple[str, str]:
    run = mlflow.MlflowClient().get_run(tracking.run_id)
    return run.info.status, run.data.tags.get("failure", "")


def is_free(root: Path) -> bool:
    lock = RunLock(root)
    lock.acquire()
    lock.release()
    return True


def listen(life, catalog, project: Path) -> Path:
    """Let the run tell its events to a file."""
    catalog["parameters"] = {"recipe": "tiny", "notify": {"command": ["sh", "-c", "cat > told"]}}
    life.after_catalog_created(catalog, {})
    return project / "told"


def test_the_lock_is_held_from_before_mlflow_opens_the_run_until_after_it_closes_it(
    hook, tracking, catalog, root
) -> None:
    begin(hook, catalog)
    with pytest.raises(RunError, match=r"another run is going on in .*data; received process \d+"):
        RunLock(root).acquire()
    end(hook, catalog)
    assert tracking.locked == [True, True]
    assert state(tracking) == ("FINISHED", "")
    assert is_free(root)


def test_an_error_of_a_node_gives_the_lock_back_and_is_told(hook, life, tracking, catalog, root, tmp_path) -> None:
    told = listen(life, catalog, tmp_path)
    begin(hook, catalog)
    fail(hook, catalog, ValueError("no photos"))
    assert tracking.locked == [True, True]
    event = json.loads(told.read_text())
    assert (event["failure"], event["run_id"], event["pipelines"]) == ("ValueError: no photos", tracking.run_id, "copy")
    assert is_free(root)


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_error_of_another_hook_fails_the_run_with_the_reason(hook, tracking, catalog, root, where) -> None:
    tracking.fails = where
    with pytest.raises(OSError, match="no disk"):  # noqa: PT012 the first or the second
        begin(hook, catalog)
        end(hook, catalog)
    assert state(tracking) == ("FAILED", "OSError: no disk")
    assert is_free(root)


def test_a_signal_ends_the_run_as_killed_although_kedro_calls_no_hook(hook, life, tracking, catalog, root) -> None:
    begin(hook, catalog)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    life.end_stopped()  # at the exit of the process, or when the next run begins in it
    assert state(tracking) == ("KILLED", "stopped by SIGTERM")
    assert is_free(root)


def test_an_mlflow_run_of_the_caller_stays_open(life, catalog) -> None:
    with mlflow.start_run(experiment_id="0", log_system_metrics=False) as outer:
        life._run = life._begin(RUN_PARAMS, PIPELINE, catalog)
        life._fail(ValueError("no photos"))
        assert mlflow.active_run().info.run_id == outer.info.run_id


def test_a_killed_run_is_cleared_up_after(hook, catalog, root) -> None:
    holder = Holder(pid=1, host="vm", since="then", command="kedro run")
    root.mkdir()
    (root / HOLDER_FILE).write_text(holder.model_dump_json())
    left = mlflow.MlflowClient().create_run("0", tags={"session": holder.session}).info.run_id
    begin(hook, catalog)
    end(hook, catalog)
    run = mlflow.MlflowClient().get_run(left)
    assert (run.info.status, run.data.tags["failure"]) == ("KILLED", "killed: process 1 ended without a word")


def test_only_a_run_that_writes_what_the_last_whole_run_wrote_makes_it_forgotten(hook, catalog, root) -> None:
    root.mkdir()
    for outputs, remembered in ((("other",), True), (("b", "other"), False)):
        write_last_run(root, LastRun(key="1", run_id="2", date="3", outputs=outputs))
        begin(hook, catalog)
        end(hook, catalog)
        assert (read_last_run(root) is not None) == remembered


def test_the_runs_own_settings_are_taken_out_of_the_parameters(life, catalog) -> None:
    catalog["parameters"] = {"recipe": "tiny", "force": True, "notify": {"webhook": "https://example.org/secret"}}
    life.after_catalog_created(catalog, {})
    assert catalog.load("parameters") == {"recipe": "tiny"}
    assert life._settings.force


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"notify": {"comand": []}}, "notify.comand: Extra inputs are not permitted"),
        ({"notify": {"when": ["finished"]}}, r"notify.when.0: Input should be 'failed', 'promoted'"),
        ({"force": "perhaps"}, "force: Input should be a valid boolean"),
        ({"notify": {"webhook": "file:///secret"}}, "notify.webhook: Value error, expected an address"),
    ],
)
def test_wrong_settings_are_one_line_that_names_them_and_tells_no_secret(life, catalog, settings, message) -> None:
    catalog["parameters"] = settings
    with pytest.raises(SettingsError, match=message) as caught:
        life.after_catalog_created(catalog, {})
    assert "secret" not in str(caught.value)


def test_an_event_that_cannot_be_made_is_a_warning(life, caplog) -> None:
    life._settings = life._settings.model_copy(
        update={"notify": life._settings.notify.model_copy(update={"command": ("true",)})}
    )

    def event() -> dict:
        raise ConnectionError("the server is away")

    life._tell(event)
    assert "Nobody could be told how the run ended: the server is away" in caplog.text
