import json
import logging
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import ValidationError

from gender_pipeline.scheduling.notices import NotifySettings, notify, without_credentials

EVENT = {"what": "failed", "failure": "no disk: 'sda'; $HOME", "metrics": {"test.accuracy": 0.5}, "version": "3"}
WRITES = "import os, pathlib, sys; pathlib.Path('told').write_text(sys.stdin.read() + chr(10) + os.environ['{}'])"


@pytest.fixture
def server():
    """Give the address of a web server and what it was sent; it answers with the status its path names."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    web = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}", received
    web.shutdown()
    web.server_close()


@pytest.mark.parametrize(
    ("variable", "text"),
    [("FAILURE", EVENT["failure"]), ("METRICS", '{"test.accuracy": 0.5}'), ("WHAT", "failed")],
)
def test_a_command_gets_the_event_as_json_and_in_variables(tmp_path, variable, text) -> None:
    command = (sys.executable, "-c", WRITES.format(f"GENDER_PIPELINE_{variable}"))
    notify(NotifySettings(command=command), EVENT, tmp_path)
    event, value = (tmp_path / "told").read_text().split("\n")
    assert (json.loads(event), value) == (EVENT, text)


def test_a_webhook_gets_the_event_as_json(server, tmp_path) -> None:
    address, received = server
    notify(NotifySettings(webhook=f"{address}/204"), EVENT, tmp_path)
    assert received == [("/204", "application/json", EVENT)]


def test_only_what_was_asked_for_is_told(server, tmp_path, caplog) -> None:
    address, received = server
    notify(NotifySettings(webhook=f"{address}/200", when=("promoted",)), EVENT, tmp_path)
    notify(NotifySettings(), EVENT, tmp_path)
    assert (received, caplog.text) == ([], "")


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"command": ["/no/such/program"]}, "The command of `notify` failed: .*No such file"),
        ({"command": [sys.executable, "-c", "raise SystemExit(3)"]}, "The command of `notify` failed: exit code 3"),
        ({"webhook": "http://127.0.0.1:9/x"}, "The webhook of `notify` failed: .*refused"),
        ({"webhook": "http://256.0.0.1.invalid/x"}, "The webhook of `notify` failed: "),
    ],
)
def test_who_cannot_be_told_is_a_warning(tmp_path, caplog, settings, warning) -> None:
    with caplog.at_level(logging.WARNING):
        notify(NotifySettings(**settings), EVENT, tmp_path)
    (record,) = caplog.records
    assert re.search(warning, record.getMessage())


def test_a_webhook_that_refuses_is_a_warning_and_does_not_hold_the_command_up(server, tmp_path, caplog) -> None:
    address, _ = server
    command = (sys.executable, "-c", WRITES.format("GENDER_PIPELINE_WHAT"))
    notify(NotifySettings(command=command, webhook=f"{address}/500"), EVENT, tmp_path)
    assert "HTTP Error 500" in caplog.text
    assert (tmp_path / "told").exists()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://example.org", "example.org/secret", "http:///secret"])
def test_only_web_addresses_are_webhooks_and_the_error_does_not_tell_the_secret(address) -> None:
    with pytest.raises(ValidationError, match="expected an address that begins with http:// or https://") as caught:
        NotifySettings(webhook=address)
    assert "secret" not in str(caught.value.errors(include_input=False))


def test_an_empty_webhook_is_none() -> None:
    assert NotifySettings(webhook="").webhook is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://ada:secret@mlflow.example.org:8080/x", "https://mlflow.example.org:8080/x"),
        ("postgresql+psycopg2://u:p@ss@db/name", "postgresql+psycopg2://db/name"),
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
    ],
)
def test_addresses_are_told_without_user_and_password(address, shown) -> None:
    assert without_credentials(address) == shown
