"""The photos of a request; what is too large is refused while it comes in, and nothing is written to disk."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from gender_pipeline.serving.limits import RefusedError, too_large
from gender_pipeline.serving.settings import ServeSettings

_FIELD_BYTES: Final = 1024  # of a form field that is no file; none is looked at
_FIELDS: Final = 8
_KINDS: Final = "multipart/form-data with files `photos`, or a photo's bytes as image/* or application/octet-stream"


@dataclass(frozen=True, slots=True)
class Upload:
    """A photo that was sent.

    Attributes:
        data: Its encoded bytes.
        name: Its file name; None for a body of raw bytes.
    """

    data: bytes = field(repr=False)
    name: str | None = None


def body_bytes(request: Request, settings: ServeSettings) -> int:
    """Return how large the body can become: what its header says, else (chunked) the limit."""
    told = request.headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdecimal() and len(told) < 20 else settings.max_request_bytes


async def read_photos(request: Request, settings: ServeSettings) -> list[Upload]:
    """Read the photos of a request.

    Raises:
        RefusedError: 413, too many bytes or files; 415, another kind of body; 422, no photo, or a broken form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            photos = await _form_photos(request, settings)
        elif kind.startswith("image/") or kind == "application/octet-stream":
            limit = min(settings.max_file_bytes, settings.max_request_bytes)
            photos = [Upload(b"".join([chunk async for chunk in _bounded(request, limit)]))]
        else:
            raise RefusedError(415, "this kind of body is not read", expected=_KINDS, received=kind[:100] or "none")
    except ClientDisconnect as error:
        raise RefusedError(400, "the client went away before its request was complete") from error
    if not photos:
        raise RefusedError(422, "the form holds no photo", expected=_KINDS)
    for photo in photos:
        if len(photo.data) > settings.max_file_bytes:
            raise too_large("photo", settings.max_file_bytes, f"{len(photo.data)} bytes")
    return photos


async def _form_photos(request: Request, settings: ServeSettings) -> list[Upload]:
    body = _bounded(request, settings.max_request_bytes)
    parser = MultiPartParser(
        request.headers, body, max_files=settings.max_files, max_fields=_FIELDS, max_part_size=_FIELD_BYTES
    )
    parser.spool_max_size = settings.max_request_bytes  # photos stay in memory
    try:
        form = await parser.parse()
    except MultiPartException as error:
        too_much = error.message.startswith(("Too many", "Part exceeded"))
        raise RefusedError(
            413 if too_much else 422,
            "the form is too large" if too_much else "the form cannot be read",
            expected=f"{_KINDS}; at most {settings.max_files} files and {_FIELDS} short fields",
            received=error.message,
        ) from error
    try:
        files = [value for key, value in form.multi_items() if key == "photos" and isinstance(value, UploadFile)]
        return [Upload(await file.read(), file.filename) for file in files]
    finally:
        await form.close()


async def _bounded(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the body's chunks; a body without a length in its header is counted as it comes."""
    n_bytes = 0
    async for chunk in request.stream():
        n_bytes += len(chunk)
        if n_bytes > limit:
            raise too_large("request", limit, f"more than {limit} bytes")
        yield chunk
