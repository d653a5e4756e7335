from types import SimpleNamespace

import mlflow
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from gender_pipeline.datasets import FileDataset, FolderDataset
from gender_pipeline.hooks.capture import CaptureHooks
from gender_pipeline.reproduction.git import git
from repositories import IDENTITY, call


def step(*_: object) -> int:
    return 1


STORY = Pipeline([Node(step, ["raw_archives", "previous_split"], "registered_model", name="all")])
FROM_MODEL = Pipeline([Node(step, ["model", "champion"], "registered_model", name="register")])
NO_MODEL = Pipeline([Node(step, "raw_archives", "manifest", name="list")])


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    for data_set in ("faces", "faces/inner", "not_asked_for"):
        (folder / "data" / "raw" / data_set).mkdir(parents=True)
        (folder / "data" / "raw" / data_set / "a.zip").write_text("photos")
    (folder / ".gitignore").write_text("data/**\n")
    call(folder, "git", "init", "--quiet")
    call(folder, "dvc", "init", "--quiet")
    call(folder, "git", "add", "--all")
    call(folder, "git", *IDENTITY, "commit", "--quiet", "--message", "start")
    return folder


@pytest.fixture
def tags(project, tmp_path):
    """Return a function that calls the hooks inside of an MLflow run, and gives that run's tags."""
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    mlflow.create_experiment("captures", artifact_location=str(tmp_path))
    mlflow.set_experiment("captures")

    def call_hooks(pipeline: Pipeline, n_subjects: int = 0) -> dict[str, str]:
        parameters = {"recipe": "quickstart", "sample": {"n_subjects": n_subjects}}
        sources = {"data_sets": {name: {"reader": "folder", "folder": name} for name in ("faces", "faces/inner")}}
        values = {
            "params:sources": sources,
            "parameters": parameters,
            "params:recipe": "quickstart",
            "params:sample.n_subjects": n_subjects,
        }
        files = {
            "raw_archives": FolderDataset(filepath=str(project / "data" / "raw")),
            "previous_split": FileDataset(filepath=str(project / "data" / "split.parquet"), optional=True),
        }
        catalog = DataCatalog(files | {name: MemoryDataset(value) for name, value in values.items()})
        hooks = CaptureHooks()
        loader = {"globals": {"data_root": "data", "model_name": "m"}}
        hooks.after_context_created(SimpleNamespace(project_path=project, config_loader=loader))
        with mlflow.start_run() as run:
            hooks.before_pipeline_run({"env": None}, pipeline, catalog)
            hooks.after_dataset_saved("registered_model")
        return dict(mlflow.get_run(run.info.run_id).data.tags)

    yield call_hooks
    mlflow.set_tracking_uri(None)


def test_a_run_of_the_story_is_reproducible_from_the_commit_it_names(project, tags) -> None:
    found = tags(STORY)
    assert (found["reproducible"], found["run.shared"]) == ("true", "false")
    assert git(project, "rev-parse", found["run.ref"]) == found["run.commit"]
    assert len(found["raw.digest"]) == 64
    names = git(project, "ls-tree", "-r", "--name-only", found["run.commit"], "data").splitlines()
    assert names == ["data/reproduction/raw/faces.dvc"]


def test_a_run_that_draws_its_raw_data_keeps_none(project, tags) -> None:
    found = tags(STORY, n_subjects=9)
    assert found["raw.digest"] == "drawn"
    assert git(project, "ls-tree", "-r", "--name-only", found["run.commit"], "data") == ""


def test_a_run_from_a_chapters_output_says_why_it_is_not_reproducible(tags) -> None:
    found = tags(FROM_MODEL)
    assert found["reproducible"] == "false"
    assert "does not start at raw archives" in found["reproducible.why"]
    assert "starts from model" in found["reproducible.why"]


def test_a_run_that_registers_nothing_is_not_captured(project, tags) -> None:
    assert "reproducible" not in tags(NO_MODEL)
    assert git(project, "for-each-ref", "refs/runs") == ""


def test_other_packages_than_the_locked_ones_make_a_run_not_reproducible(project, tags) -> None:
    (project / "requirements").mkdir()
    (project / "requirements" / "lock.txt").write_text("click==0.0.1 \\\n    --hash=sha256:aa\n")
    assert "are not the locked ones" in tags(STORY)["reproducible.why"]


def test_a_remote_that_is_away_leaves_the_run_reproducible_but_not_shared(project, tags, tmp_path) -> None:
    call(project, "dvc", "remote", "add", "--quiet", "--default", "storage", str(tmp_path / "storage"))
    call(project, "git", "remote", "add", "origin", str(tmp_path / "nowhere.git"))
    found = tags(STORY)
    assert (found["reproducible"], found["run.shared"]) == ("true", "false")
