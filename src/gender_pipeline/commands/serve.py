"""The command that starts the HTTP server."""

import ipaddress
import os
import signal
import socket
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from gender_pipeline.commands.model import MODEL_OPTION, Registered, models_folder
from gender_pipeline.errors import ServingError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from gender_pipeline.serving.models import ModelHolder
    from gender_pipeline.serving.settings import ServeSettings

TOKEN_VARIABLE: Final = "GENDER_PIPELINE_TOKEN"  # noqa: S105 the variable's name
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_STOP_SECONDS: Final = 5  # for a version that is just being loaded while the server ends


@click.command(epilog="Example: gender-pipeline serve --model gender-classifier@production --port 8080")
@MODEL_OPTION
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--allowed-host", multiple=True, help="A further name it may be called by, as behind a proxy.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File with the bearer token that clients must send; else the variable {TOKEN_VARIABLE}, else none.",
)
@click.option("--insecure", is_flag=True, help="Let other machines ask without a token.")
@click.option("--max-batch", type=click.IntRange(1, 32), default=16, show_default=True, help="Faces in a pass.")
@click.option("--max-request-mib", type=click.IntRange(1, 1024), default=32, show_default=True)
@click.option("--max-files", type=click.IntRange(1, 1000), default=32, show_default=True, help="Photos in a request.")
@click.option(
    "--follow-seconds",
    type=click.FloatRange(min=0),
    default=10,
    show_default=True,
    help="How often to look whether the alias has moved; 0 never.",
)
@click.option(
    "--grace-seconds",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="Time that requests have to end when the server is told to stop.",
)
def serve(
    *,
    model: Path | Registered,
    host: str,
    port: int,
    allowed_host: tuple[str, ...],
    token_file: Path | None,
    insecure: bool,
    max_batch: int,
    max_request_mib: int,
    max_files: int,
    follow_seconds: float,
    grace_seconds: int,
) -> None:
    """Answer photos over HTTP, with a page to try it at /.

    An alias is followed: when it moves, the new version is loaded beside the old one and takes over without a failed
    request. SIGTERM and Ctrl-C let running requests end.
    """
    local = _is_loopback(host)
    token = _read_token(token_file)
    if not (local or token or insecure):
        raise click.UsageError(
            f"--host {host} lets other machines ask: give a token (--token-file, {TOKEN_VARIABLE}) or --insecure"
        )
    with _listen(host, port) as listening:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        from gender_pipeline.serving.settings import ServeSettings

        names = {*allowed_host, *([host, *_LOOPBACK] if local or allowed_host else [])}
        settings = ServeSettings(
            token=token,
            allowed_hosts=tuple(sorted(name.lower() for name in names)),
            max_batch=max_batch,
            max_request_bytes=max_request_mib * 2**20,
            max_files=max_files,
        )
        follow = follow_seconds if isinstance(model, Registered) and model.reference.startswith("@") else 0
        _run(_holder(model, max_batch), settings, listening, follow=follow, grace_seconds=grace_seconds)


def _end(*_: Any) -> NoReturn:
    """End with 0: uvicorn raises the signal again once requests have ended, and before it starts there are none."""
    raise SystemExit(0)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_token(path: Path | None) -> str | None:
    token = os.environ.get(TOKEN_VARIABLE) if path is None else path.read_text("utf-8")
    if token is None:
        return None
    if not token.strip().isascii() or len(token.strip()) < 16:
        raise click.UsageError("the token must be at least 16 ASCII characters")
    return token.strip()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        raise ServingError(
            f"cannot listen on {host} port {port}",
            expected="an address of this machine and a port nobody listens on",
            received=str(error),
            remedy="choose another one with --port, or end who holds it",
        ) from error


def _holder(model: Path | Registered, max_batch: int) -> "ModelHolder":
    from gender_pipeline.serving.models import ModelHolder, file_model

    if isinstance(model, Path):
        return ModelHolder(lambda _: file_model(model), max_batch=max_batch)
    from gender_pipeline.registration.mlflow_models import version_of

    load = partial(_registered_model, model.name, models_folder(model.name))
    return ModelHolder(load, partial(version_of, model.name, model.reference), max_batch=max_batch)


def _registered_model(name: str, folder: Path, number: str) -> Any:
    from gender_pipeline.export.predictor import load_predictor
    from gender_pipeline.registration.mlflow_models import fetch_model
    from gender_pipeline.serving.models import ServedModel

    fetched = fetch_model(name, number, folder)
    return ServedModel(load_predictor(fetched.folder), name, fetched.version, fetched.commit, fetched.card)


def _run(
    models: "ModelHolder", settings: "ServeSettings", listening: socket.socket, *, follow: float, grace_seconds: int
) -> None:
    from gender_pipeline.serving.app import create_app
    from gender_pipeline.serving.logs import log, log_as_json

    log_as_json()
    server = _server(create_app(models, settings), grace_seconds)
    failures: list[Exception] = []
    keeper = threading.Thread(target=_keep, args=(models, server, failures, follow), daemon=True)
    keeper.start()
    host, port = listening.getsockname()[:2]
    log("listening", address=f"http://{f'[{host}]' if ':' in host else host}:{port}", token=settings.token is not None)
    try:
        server.run(sockets=[listening])
    finally:
        models.stop()
        keeper.join(_STOP_SECONDS)
    for error in failures:
        raise error


def _server(app: "FastAPI", grace_seconds: int) -> "uvicorn.Server":
    import uvicorn

    quiet: dict[str, Any] = {"log_config": None, "access_log": False, "server_header": False, "proxy_headers": False}
    return uvicorn.Server(uvicorn.Config(app, ws="none", timeout_graceful_shutdown=grace_seconds, **quiet))


def _keep(models: "ModelHolder", server: "uvicorn.Server", failures: list[Exception], follow: float) -> None:
    """Load the model while the server already says that it is not ready, then follow the alias."""
    try:
        models.load_first()
    except Exception as error:
        failures.append(error)
        server.should_exit = True
        return
    if follow:
        models.follow(follow)
