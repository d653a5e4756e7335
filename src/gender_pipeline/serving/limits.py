"""What a server refuses, in words and in a status, and how much it takes on at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from gender_pipeline.serving.settings import ServeSettings


class RefusedError(Exception):
    """A request that is not answered.

    Args:
        status: HTTP status, 4xx, 503 or 504.
        problem: What is wrong.
        expected: What would have been right.
        received: What came instead; never bytes of a photo.
        remedy: What the client can do.
    """

    def __init__(self, status: int, problem: str, *, expected: str = "", received: str = "", remedy: str = "") -> None:
        super().__init__(problem)
        self.status = status
        parts = {"error": problem, "expected": expected, "received": received, "remedy": remedy}
        self.body = {key: text for key, text in parts.items() if text}
        self.headers = {"Retry-After": "1"} if status == 503 else {}
        if status == 401:
            self.headers = {"WWW-Authenticate": "Bearer"}


class Admission:
    """Counts requests and bytes inside, so that a server that is asked too much says so instead of growing."""

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self.requests = 0
        self.n_bytes = 0

    @contextmanager
    def admit(self, n_bytes: int) -> Iterator[None]:
        """Take a request in for the block, with room for its body.

        Raises:
            RefusedError: 413, it could never be taken in; 503, there is no room now.
        """
        limits = self._settings
        if n_bytes > limits.max_request_bytes:
            raise too_large("request", limits.max_request_bytes, f"{n_bytes} bytes")
        if self.requests >= limits.max_requests or (
            self.requests and self.n_bytes + n_bytes > limits.max_waiting_bytes
        ):
            raise RefusedError(
                503,
                "too many requests at a time",
                expected=f"at most {limits.max_requests} requests and {limits.max_waiting_bytes} bytes of them",
                remedy="wait a second and ask again",
            )
        self.requests += 1
        self.n_bytes += n_bytes
        try:
            yield
        finally:
            self.requests -= 1
            self.n_bytes -= n_bytes


def too_large(what: str, limit: int, received: str) -> RefusedError:
    """Return the refusal of a body or a photo with more than `limit` bytes."""
    return RefusedError(
        413,
        f"the {what} is too large",
        expected=f"at most {limit} bytes",
        received=received,
        remedy="send fewer or smaller photos",
    )
