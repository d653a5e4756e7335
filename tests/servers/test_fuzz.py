"""10,000 malformed uploads over the wire: no 5xx, no crash, flat memory. FUZZ_UPLOADS and FUZZ_SEED change them."""

import contextlib
import http.client
import os
import random
import socket
from collections import Counter

import psutil
import pytest

from fuzzing import Upload, uploads
from lamp_models import lamp_file, shade
from served_command import Server, serving

pytestmark = pytest.mark.servers
N_UPLOADS = int(os.environ.get("FUZZ_UPLOADS", "10000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


def test_malformed_uploads_do_the_server_no_harm(tmp_path) -> None:
    statuses: Counter[int] = Counter()
    memory: list[float] = []
    with serving(tmp_path, "--model", lamp_file(tmp_path)) as server:
        process, draw = psutil.Process(server.process.pid), random.Random(SEED)  # noqa: S311 no secrets
        for number, upload in enumerate(uploads(N_UPLOADS, SEED)):
            status = _send_raw(server, upload, draw) if number % 10 == 0 else _send(server, upload)
            statuses[status] += 1
            assert status < 500, upload
            if number % (N_UPLOADS // 10) == 0:
                memory.append(process.memory_info().rss / 2**20)
        assert server.predict(shade(51))["photos"][0]["problem"] is None
        memory.append(process.memory_info().rss / 2**20)
        assert not [line for line in server.events() if line["level"] == "error"]
        assert server.stop() == 0
    print(f"\n{N_UPLOADS} uploads: {dict(sorted(statuses.items()))}; MiB {[round(value) for value in memory]}")
    # The first tenth warms decoders and allocators.
    assert memory[-1] < memory[1] * 1.1 + 20


def _send(server: Server, upload: Upload) -> int:
    return server.ask("POST", upload.path, upload.body, upload.headers)[0]


def _send_raw(server: Server, upload: Upload, draw: random.Random) -> int:
    """Play with what an HTTP client would not let us write; 0 where the server hangs up without a word."""
    length = draw.choice((len(upload.body), len(upload.body) + 50, 0, -1, 10**12, 2**70, "x", "1, 2"))
    framing = draw.choice((f"Content-Length: {length}\r\n", "Transfer-Encoding: chunked\r\n", ""))
    body = upload.body
    if "chunked" in framing:
        body = b"%x\r\n" % len(body) + body + draw.choice((b"\r\n0\r\n\r\n", b"\r\nzz\r\n", b""))
    kind = "".join(f"{key}: {value}\r\n" for key, value in upload.headers.items())
    extra = draw.choice(
        ("", "Host: a\r\nHost: b\r\n", "X: " + "y" * 20000 + "\r\n", "Origin: http://[\r\n", "\x00: \x00\r\n")
    )
    host = draw.choice(("127.0.0.1", "127.0.0.1", "127.0.0.1", "[", "evil.example"))
    head = f"POST {upload.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{kind}{framing}{extra}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        with contextlib.suppress(OSError):  # it may answer and hang up before it has read all, then we cannot write
            connection.sendall(head.encode("latin-1") + body)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError, http.client.HTTPException):
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status
    return 0
