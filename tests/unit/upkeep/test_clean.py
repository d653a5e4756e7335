"""A whole project with its server: what is left after a clean, and what the command says."""

import os
import time
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from filelock import FileLock

from gender_pipeline.__main__ import main
from gender_pipeline.commands import clean as command
from gender_pipeline.commands.project import Environment, environments
from gender_pipeline.errors import UpkeepError
from gender_pipeline.reproduction.capture import RunInputs, capture_run
from gender_pipeline.reproduction.data import bring_data, use_cache_of
from gender_pipeline.reproduction.git import git, worktree
from gender_pipeline.scheduling.run_key import LastRun, write_last_run
from gender_pipeline.scheduling.run_lock import RunLock
from gender_pipeline.upkeep import clean as library
from gender_pipeline.upkeep.clean import Places, no_runs, remove, take_stock
from gender_pipeline.upkeep.plan import Item, plan
from upkeep_worlds import artifact_names, capture, log_run, model_folder, object_path, put_object, register

NAME = "gender-classifier"
TABLES = {"evaluation/predictions.parquet", "splitting/split_manifest.parquet"}


class World:
    """Four old runs: version 1 in production, version 2 reproducible, one unregistered, and the last one here."""

    def __init__(self, project: Path, tmp_path: Path) -> None:
        self.project, self.data, self.environments = project, project / "data", tmp_path / "environments"
        self.production, self.reproducible, self.unregistered, self.last = (log_run(tmp_path) for _ in range(4))
        self.md5s = {run: put_object(project, run.encode() * 20) for run in self.runs}
        commits = {run: capture(project, run, md5) for run, md5 in self.md5s.items()}
        for run in (self.production, self.reproducible):
            register(run, reproducible="true", **{"run.commit": commits[run]})
        mlflow.MlflowClient().set_registered_model_alias(NAME, "production", 1)
        put_object(project, b"nobody's" * 10)
        for place in ("cache/features/k/part-1.npy", "cache/checkpoints/fold-1", "training/model/weights"):
            (self.data / place).parent.mkdir(parents=True, exist_ok=True)
            (self.data / place).write_bytes(b"x" * 70)
        write_last_run(self.data, LastRun(key="k", run_id=self.last, date="", outputs=()))
        environment = self.environments / ("a" * 16)
        environment.mkdir(parents=True)
        (environment / "pyvenv.cfg").write_text("home = /usr\n")
        with worktree(project, "HEAD", project / ".dvc" / "tmp" / "reproductions" / self.unregistered):
            pass

    @property
    def runs(self) -> list[str]:
        return [self.production, self.reproducible, self.unregistered, self.last]

    @property
    def places(self) -> Places:
        return Places(self.project, [self.data], [self.data], self.environments, ["faces", "faces reproductions"])

    def plan(self) -> list[Item]:
        return plan(take_stock(self.places, in_a_month()), in_a_month())

    def kept_objects(self) -> set[str]:
        return {run for run, md5 in self.md5s.items() if object_path(self.project, md5).exists()}


def in_a_month() -> float:
    return time.time() + 30 * 24 * 60 * 60


def disk_bytes(folder: Path) -> int:
    """Count what `du` would, without git's own bookkeeping and MLflow's database."""
    inodes = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for path in (Path(parent, name) for name in names if not name.startswith("mlflow.db") and name != ".run.lock"):
            inodes[path.lstat().st_ino] = path.lstat().st_size
    return sum(inodes.values())


@pytest.fixture
def world(project, store, tmp_path) -> World:  # noqa: ARG001 a store must be there
    return World(project, tmp_path)


@pytest.fixture
def call(world, monkeypatch):
    """Call the command a month from now."""
    monkeypatch.setattr(command, "connect", lambda: world.project)
    known = {"base": Environment(world.data, "faces"), "smoke": Environment(world.data / "smoke", "faces")}
    monkeypatch.setattr(command, "environments", lambda _: known)
    monkeypatch.setattr(command, "_DAY_S", -24 * 60 * 60)

    def invoke(*words: str, code: int = 0, answer: str = "") -> str:
        words = ("clean", "--environments", str(world.environments), *words)
        said = CliRunner().invoke(main, list(words), input=answer)
        assert said.exit_code == code, said.output
        return said.output

    return invoke


def test_what_aliases_and_reproducible_versions_need_is_left(world) -> None:
    remove(world.project, world.plan())
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@production").predict([1]) == [1]
    assert world.kept_objects() == {world.production, world.reproducible, world.last}
    assert set(git(world.project, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/runs").split()) == {
        world.production,
        world.reproducible,
        world.last,
    }
    docs = {"validation/great_expectations/data_docs/index.html", "validation/data_docs.html"}
    assert artifact_names(world.production) == docs | TABLES | {"parameters.yml"}
    assert artifact_names(world.last) == artifact_names(world.production)
    assert artifact_names(world.reproducible) == {*TABLES, "parameters.yml"}
    assert artifact_names(world.unregistered) == {"parameters.yml"}
    assert [run for run in world.runs if model_folder(run).exists()] == [world.production, world.last]
    tags = [mlflow.MlflowClient().get_model_version(NAME, number).tags for number in ("1", "2")]
    assert ["files.removed" in own for own in tags] == [False, True]
    assert (world.data / "training" / "model" / "weights").exists()
    assert not (world.data / "cache" / "features" / "k").exists()
    assert world.plan() == []


def test_the_disk_gets_back_what_the_plan_says(world, tmp_path) -> None:
    items = world.plan()
    before = disk_bytes(tmp_path)
    remove(world.project, items)
    assert before - disk_bytes(tmp_path) == sum(item.n_bytes for item in items)
    assert len({item.kind for item in items}) == 9


def test_nothing_that_is_recent_goes(world) -> None:
    recent = time.time() - 24 * 60 * 60
    assert plan(take_stock(world.places, recent), recent) == []


def test_a_clean_that_was_killed_is_completed_by_the_next(world) -> None:
    items = world.plan()
    while items:
        remove(world.project, items[:1])
        items = items[1:]
        assert world.plan() == items


def test_pointers_of_versions_can_be_checked_out_from_the_cache_alone(project, store, tmp_path) -> None:  # noqa: ARG001
    raw, kept, gone = tmp_path / "raw", log_run(tmp_path), log_run(tmp_path)
    (raw / "muct").mkdir(parents=True)
    for run in (gone, kept):
        (raw / "muct" / "a.tar").write_text(run)
        (raw / "same.csv").write_text("same")
        inputs = RunInputs({"muct": raw / "muct", "same.csv": raw / "same.csv"}, None, {}, {})
        done = capture_run(project, run, inputs, title="x")
    register(kept, reproducible="true", **{"run.commit": done.commit})
    places = Places(project, [], [], tmp_path / "none", ["faces"])
    items = plan(take_stock(places, in_a_month()), in_a_month())
    assert {item.kind for item in items} >= {"captures", "DVC objects"}
    remove(project, items)
    with worktree(project, done.commit, tmp_path / "tree") as tree:
        use_cache_of(project, tree)
        bring_data(tree, list(done.pointers))
        assert (tree / "data/reproduction/raw/muct/a.tar").read_text() == kept
        assert (tree / "data/reproduction/raw/same.csv").read_text() == "same"
    assert git(project, "for-each-ref", "refs/runs").count("\n") == 0


def test_without_git_nothing_of_dvc_and_no_environment_is_touched(world, tmp_path) -> None:
    (world.project / ".git").rename(tmp_path / "git")
    kinds = {item.kind for item in world.plan()}
    assert kinds == {"model files", "Data Docs", "tables of runs", "features", "checkpoints"}


def test_the_environment_that_a_kept_capture_locks_stays(world) -> None:
    (lock,) = {name for it in take_stock(world.places, 0.0).captures for name in it.needs if len(name) == 16}
    (world.environments / ("a" * 16)).rename(world.environments / lock)
    assert "environments" not in {item.kind for item in world.plan()}


def test_a_ref_that_is_not_called_after_a_run_stays(world) -> None:
    git(world.project, "update-ref", "refs/runs/mine", "HEAD")
    assert "refs/runs/mine" not in {item.where for item in world.plan()}


def test_no_run_begins_while_files_go_and_none_is_disturbed(world) -> None:
    with no_runs([world.data, world.data / "missing"]), pytest.raises(Exception, match="has just begun"):
        RunLock(world.data).acquire()
    holder, refusal = FileLock(world.data / ".run.lock"), r"a run is going on in .*; wait for its end"
    with holder, pytest.raises(UpkeepError, match=refusal), no_runs([world.data]):
        pass
    assert not (world.data / "missing").exists()


def test_a_dry_run_says_all_and_changes_nothing(world, call, tmp_path) -> None:
    before = disk_bytes(tmp_path), git(world.project, "for-each-ref"), world.plan()
    said = call("--dry-run", "--keep-days", "30")
    assert (disk_bytes(tmp_path), git(world.project, "for-each-ref"), world.plan()) == before
    assert all(item.where in said for item in before[2])
    last = said.splitlines()[-1].split()
    assert last[:2] == ["total", str(len(before[2]))]
    assert int(last[-2].replace(",", "")) == sum(item.n_bytes for item in before[2])


def test_the_command_asks_and_frees_what_the_dry_run_said(world, call) -> None:
    n_items = len(world.plan())
    assert "Aborted" in call("--keep-days", "30", answer="n\n", code=1)
    assert len(world.plan()) == n_items
    assert f"removed {n_items} items, " in call("--keep-days", "30", "--yes")
    said = call("--keep-days", "30")
    assert said.split() == ["total", "0", "items", "0.0", "B", "0", "bytes"]


def test_what_is_needed_by_the_time_of_the_answer_stays(call, monkeypatch) -> None:
    def confirm(*_: object, **__: object) -> None:
        mlflow.MlflowClient().set_registered_model_alias(NAME, "staging", 2)

    monkeypatch.setattr(command.click, "confirm", confirm)
    call("--keep-days", "30")
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@staging")


def test_only_the_caches_of_one_environment_can_be_asked_for(call) -> None:
    assert "part-1.npy" not in call("--dry-run", "--keep-days", "30", "--env", "smoke")
    assert "part-1.npy" in call("--dry-run", "--keep-days", "30", "--env", "base")
    assert "only base, smoke" in call("--dry-run", "--env", "nowhere", code=2)
    call("--keep-days", "0", code=2)


def test_a_run_that_is_going_on_stops_a_clean_before_anything_goes(world, call) -> None:
    items = world.plan()
    with FileLock(world.data / ".run.lock"):
        said = call("--keep-days", "30", "--yes", code=1)
    assert "Error: a run is going on in" in said
    assert world.plan() == items


def test_the_note_on_a_killed_run_stays_for_the_next_run(world) -> None:
    lock = RunLock(world.data)
    lock.acquire()
    holder = lock.announce("kedro run")
    lock._lock.release()  # as the operating system does for a killed process
    with no_runs([world.data]):
        pass
    assert library.LOCK_FILE == ".run.lock"
    assert RunLock(world.data).acquire() == holder


def test_every_environment_of_the_project_has_its_data_root() -> None:
    from kedro.framework.startup import bootstrap_project
    from omegaconf import OmegaConf

    project = Path(__file__).parents[3]
    bootstrap_project(project)
    OmegaConf.register_new_resolver("project", str, replace=True)
    known = environments(project)
    assert known["base"] == Environment(project / "data", "gender_pipeline")
    assert known["smoke"] == Environment(project / "data" / "smoke", "gender_pipeline")
