"""The servers a team shares, once for all tests of this folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_servers import mlflow_server, object_store, postgresql, postgresql_programs


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """Give the address of a PostgreSQL database, or skip."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    # Not tmp_path: only its owner may enter that, and PostgreSQL runs as another user where the tests run as root.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder, postgresql(programs, Path(folder)) as address:
        yield address


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Give the environment variables of an S3-compatible store with the buckets `mlflow` and `dvc`."""
    with object_store(tmp_path_factory.mktemp("store"), "mlflow", "dvc") as environment:
        yield environment


@pytest.fixture(scope="session")
def server(database, store, tmp_path_factory) -> Iterator[str]:
    """Give the address of an MLflow server that keeps artifacts in the store and hands them through."""
    options = ["--backend-store-uri", database, "--artifacts-destination", "s3://mlflow"]
    with mlflow_server(*options, log=tmp_path_factory.mktemp("server") / "log", environment=store) as address:
        yield address
