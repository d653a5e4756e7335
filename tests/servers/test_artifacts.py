"""Artifacts by both ways that MLflow has: through the server, or straight to the store."""

import mlflow
import pytest
from mlflow import MlflowClient

from local_servers import keys, mlflow_server

pytestmark = pytest.mark.servers


@pytest.fixture
def direct(database, tmp_path) -> str:
    """A second server on the same database whose clients reach the store themselves."""
    options = ["--backend-store-uri", database, "--no-serve-artifacts", "--default-artifact-root", "s3://mlflow/direct"]
    with mlflow_server(*options, log=tmp_path / "log", environment={}) as address:
        yield address


def log_files(address: str, folder, name: str) -> str:
    """Log 100 small files and a large one to a new experiment; return where they went."""
    for number in range(100):
        (folder / f"{number}.txt").write_text(str(number))
    (folder / "large").write_bytes(bytes(30_000_000))
    client = MlflowClient(address)
    run = client.create_run(client.create_experiment(name))
    mlflow.set_tracking_uri(address)
    client.log_artifacts(run.info.run_id, str(folder), "many")
    assert len(client.list_artifacts(run.info.run_id, "many")) == 101
    assert (client.download_artifacts(run.info.run_id, "many/7.txt")).endswith("7.txt")
    mlflow.set_tracking_uri(None)
    return str(run.info.artifact_uri)


def test_clients_need_no_key_where_the_server_hands_artifacts_through(server, store, tmp_path) -> None:
    where = log_files(server, tmp_path, "through")
    assert where.startswith("mlflow-artifacts:/")
    assert len(keys(store, "mlflow", where.removeprefix("mlflow-artifacts:/"))) == 101


def test_clients_with_the_keys_reach_the_store_themselves(direct, store, tmp_path, monkeypatch) -> None:
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "files").mkdir()
    where = log_files(direct, tmp_path / "files", "direct")
    assert where.startswith("s3://mlflow/direct/")
    assert len(keys(store, "mlflow", where.removeprefix("s3://mlflow/"))) == 101
