import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from repositories import IDENTITY, call


@pytest.fixture
def project(tmp_path) -> Path:
    """A git and DVC repository with one commit, as small as one can be."""
    folder = tmp_path / "project"
    (folder / "requirements").mkdir(parents=True)
    (folder / "requirements" / "lock.txt").write_text("numpy==2.4.1\n")
    (folder / ".gitignore").write_text("data/**\n!data/**/\n!data/**/*.dvc\n")
    call(folder, "git", "init", "--quiet", "--initial-branch", "main")
    call(folder, "dvc", "init", "--quiet")
    call(folder, "git", "add", "--all")
    call(folder, "git", *IDENTITY, "commit", "--quiet", "--message", "start")
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """An MLflow database with its tables, which takes seconds."""
    import mlflow

    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(tmp_path, empty_store) -> Iterator[Path]:
    """Point MLflow at a database of its own with the experiment `faces`; give the folder of artifacts."""
    import mlflow

    shutil.copy(empty_store, tmp_path / "mlflow.db")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    location = (tmp_path / "artifacts").as_uri()
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("faces", artifact_location=location))
    yield tmp_path / "artifacts"
    mlflow.set_tracking_uri(None)
