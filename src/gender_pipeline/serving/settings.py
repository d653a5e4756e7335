"""What a server allows and how it works; every bound has a number."""

from typing import Final

from pydantic import Field, SecretStr

from gender_pipeline.images.decode import MAX_PIXELS
from gender_pipeline.schema import Settings

_MIB: Final = 2**20


class ServeSettings(Settings):
    """Settings of a server.

    Attributes:
        token: What `Authorization: Bearer` must carry; None asks for nothing.
        allowed_hosts: Names by which it may be called (header `Host`); empty for any.
        max_request_bytes: Largest body of a request.
        max_file_bytes: Largest photo, encoded.
        max_files: Most photos in a request.
        max_pixels: Largest width x height of a photo.
        max_requests: Most requests that are read or answered at a time; further ones get 503.
        max_waiting_bytes: Most bytes of their bodies together.
        upload_seconds: Longest time for a request's body to come.
        answer_seconds: Longest time from there to the answer.
        max_batch: Most faces in a pass of the network.
        linger_seconds: How long a batch waits for photos that are being decoded; where there are none it does not wait.
        workers: Threads that decode photos and find faces.
    """

    token: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()
    max_request_bytes: int = Field(default=32 * _MIB, ge=1)
    max_file_bytes: int = Field(default=16 * _MIB, ge=1)
    max_files: int = Field(default=32, ge=1)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=MAX_PIXELS)
    max_requests: int = Field(default=64, ge=1)
    max_waiting_bytes: int = Field(default=256 * _MIB, ge=1)
    upload_seconds: float = Field(default=30.0, gt=0)
    answer_seconds: float = Field(default=30.0, gt=0)
    max_batch: int = Field(default=16, ge=1, le=32)
    linger_seconds: float = Field(default=0.1, ge=0, le=1)
    workers: int = Field(default=2, ge=1, le=64)
