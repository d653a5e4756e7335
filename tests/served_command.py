"""`gender-pipeline serve` as a process, and clients of it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = Path(sys.executable).parent / "gender-pipeline"


@dataclass(frozen=True)
class Server:
    """A server that runs: its process, its port, and the file of its log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a request over a connection of its own; give the status and the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def predict(self, photo: bytes) -> dict:
        """Ask for the answer to a photo; it must be given."""
        status, body = self.ask("POST", "/predict", photo, {"content-type": "image/png"})
        assert status == 200, (status, body)
        return json.loads(body)

    def events(self) -> list[dict]:
        """Return what the server has logged."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def wait_for(self, event: str, count: int = 1, seconds: float = 120) -> dict:
        """Wait until an event is logged for the n-th time."""
        deadline = time.monotonic() + seconds
        while len(found := [line for line in self.events() if line["event"] == event]) < count:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"no {count} x {event!r} in {self.log.read_text()}"
            time.sleep(0.05)
        return found[count - 1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tell the server to stop; give its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def serving(
    folder: Path, *options: str | Path, environment: Mapping[str, str] | None = None, ready: bool = True
) -> Iterator[Server]:
    """Run the command in a folder until the block ends; wait until it is ready, or only until it listens."""
    log = folder / "serve.log"
    with log.open("wb") as file:
        command = [COMMAND, "serve", "--port", "0", *options]
        process = subprocess.Popen(command, cwd=folder, env=os.environ | dict(environment or {}), stderr=file)
    server = Server(process, 0, log)
    try:
        port = int(server.wait_for("listening")["address"].rpartition(":")[2])
        server = Server(process, port, log)
        if ready:
            server.wait_for("model taken over")
        yield server
    finally:
        process.kill()
        process.wait()
