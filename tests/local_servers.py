"""Servers on this machine for tests: PostgreSQL (Debian's), an S3-compatible store (nanio), MLflow on the two."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
KEYS = {"AWS_ACCESS_KEY_ID": "team-key", "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_DEFAULT_REGION": "us-east-1"}


def postgresql_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, or None; Debian keeps them out of PATH."""
    found = [Path(path) for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return found[0].resolve().parent if found else None


@contextmanager
def postgresql(programs: Path, folder: Path) -> Iterator[str]:
    """Make and run a cluster in a folder that every user may enter; give the address of its database."""
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if user:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "nobody", "nogroup")
    cluster, port = folder / "cluster", free_port()
    make = [programs / "initdb", "--pgdata", cluster, "--username", "mlflow", "--auth", "trust", "--encoding", "UTF8"]
    subprocess.run(make, cwd=folder, check=True, capture_output=True, **user)
    serve = [programs / "postgres", "-D", cluster, "-p", str(port), "-h", "127.0.0.1", "-k", ""]
    with process(serve, folder / "postgresql.log", {}, stop=signal.SIGINT, cwd=folder, **user) as running:
        wait_until(lambda: _accepts(port), running)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"


@contextmanager
def object_store(folder: Path, *buckets: str) -> Iterator[dict[str, str]]:
    """Run an S3-compatible store of files in a folder; give the variables by which boto3, MLflow and DVC find it."""
    port = free_port()
    serve = [BIN / "nanio", "serve", "--data-dir", folder, "--host", "127.0.0.1", "--port", str(port)]
    own = {"NANIO_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "NANIO_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]}
    environment = KEYS | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}"}
    with process(serve, folder.with_suffix(".log"), own) as running:
        wait_until(lambda: _accepts(port), running)
        for bucket in buckets:
            s3(environment).create_bucket(Bucket=bucket)
        yield environment


@contextmanager
def mlflow_server(*options: str, log: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run an MLflow server; give its address."""
    port = free_port()
    serve = [BIN / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "2", *options]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # tasks of language models in the background
    with process(serve, log, {**environment, **quiet}) as running:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health"), running)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def mlflow_model_server(model_uri: str, *, log: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve a registered model as MLflow does, with this environment's packages; give the server's address."""
    port = free_port()
    serve = [BIN / "mlflow", "models", "serve", "--model-uri", model_uri, "--env-manager", "local", "--port", str(port)]
    # MLflow starts uvicorn through a shell, which finds it here.
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    with process(serve, log, {**environment, "PATH": path}) as running:
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/health"), running)
        yield f"http://127.0.0.1:{port}"


def s3(environment: Mapping[str, str]) -> Any:
    """Return a client of the store."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )


def keys(environment: Mapping[str, str], bucket: str, prefix: str = "") -> list[str]:
    """List what is in a bucket below a prefix."""
    pages = s3(environment).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(
    command: list[str | Path],
    log: Path,
    environment: Mapping[str, str],
    *,
    stop: int = signal.SIGTERM,
    **options: object,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command, in a process group of its own, until the block ends."""
    with log.open("wb") as file:
        started = subprocess.Popen(
            command, env=os.environ | environment, stdout=file, stderr=file, start_new_session=True, **options
        )
        try:
            yield started
        finally:
            started.send_signal(stop)
            try:
                started.wait(20)
            finally:
                _kill_group(started.pid)


def wait_until(ready: Callable[[], bool], running: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a server is ready; fail where it ends before."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert running.poll() is None, f"{running.args} ended with {running.returncode}"
        assert time.monotonic() < deadline, f"{running.args} is not ready after {seconds} s"
        time.sleep(0.2)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 an address of our own
            return bool(answer.status == 200)
    except OSError:
        return False


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
