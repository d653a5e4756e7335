import http.server
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kedro.config import OmegaConfigLoader
from kedro_mlflow.framework.hooks.mlflow_hook import MlflowHook
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_ALREADY_EXISTS

from gender_pipeline.errors import TrackingError
from gender_pipeline.hooks.mlflow_run import MlflowRun, check_server
from local_servers import free_port


@pytest.fixture
def locked_server() -> Iterator[str]:
    """A server that refuses everybody."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(401)

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_that_does_not_answer_is_said_at_once_and_without_its_password() -> None:
    port = free_port()
    with pytest.raises(TrackingError, match=f"expected one at 127.0.0.1:{port}; .*; start it, or correct") as caught:
        check_server(f"http://ada:secret@127.0.0.1:{port}")
    assert "secret" not in str(caught.value)


def test_any_answer_of_a_server_will_do(locked_server) -> None:
    check_server(locked_server)
    check_server(f"{locked_server}/behind/a/path/")


def test_a_database_is_not_asked() -> None:
    check_server("sqlite:////nowhere/mlflow.db")


CONTEXT = SimpleNamespace(config_loader=OmegaConfigLoader(conf_source="nowhere"))
CONTEXT.config_loader["mlflow"] = {"server": {"mlflow_tracking_uri": "sqlite:////nowhere/mlflow.db"}}


def failing_first(monkeypatch, code: int) -> list[str]:
    calls: list[str] = []

    def connect(self, context) -> None:  # noqa: ARG001
        calls.append("connect")
        if len(calls) == 1:
            raise MlflowException("refused", error_code=code)

    monkeypatch.setattr(MlflowHook, "after_context_created", connect)
    return calls


def test_the_experiment_that_another_clone_made_just_now_is_used(monkeypatch) -> None:
    calls = failing_first(monkeypatch, RESOURCE_ALREADY_EXISTS)
    MlflowRun().after_context_created(CONTEXT)
    assert len(calls) == 2


def test_another_refusal_is_not_tried_again(monkeypatch) -> None:
    calls = failing_first(monkeypatch, PERMISSION_DENIED)
    with pytest.raises(MlflowException, match="refused"):
        MlflowRun().after_context_created(CONTEXT)
    assert len(calls) == 1
