"""Uploads as nobody should send them: seeded mutations of good ones."""

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image

_KINDS = ("JPEG", "PNG", "BMP", "WEBP")
_TYPES = (
    "image/jpeg",
    "image/png",
    "application/octet-stream",
    "multipart/form-data; boundary=edge",
    "multipart/form-data; boundary=",
    "multipart/form-data",
    'multipart/form-data; boundary="edge',
    f"multipart/form-data; boundary={'x' * 3000}",
    "multipart/form-data; boundary=edge; charset=utf-16",
    "multipart/mixed; boundary=edge",
    "application/json",
    "text/plain; charset=nonsense",
    "image/",
    "",
)
_QUERIES = (
    "",
    "crop=none",
    "crop=face",
    "crop=both",
    "top=1",
    "top=-1",
    "top=9e9",
    "top=%00",
    "face=99",
    "x=%ff&x=%fe",
)
_NAMES = ('"photos"', '"photo"', '""', "photos", '"photos\\"', '"\xff\xfe"', '"' + "n" * 500 + '"')
_FILES = (
    '; filename="a.png"',
    '; filename=""',
    "",
    '; filename="../../etc/passwd"',
    "; filename*=utf-8''%ff",
    '; filename="\x00"',
)


@dataclass(frozen=True)
class Upload:
    """A request to `/predict` or `/heat-map`."""

    path: str
    headers: dict[str, str]
    body: bytes


def uploads(n: int, seed: int) -> Iterator[Upload]:
    """Make n uploads, none of them to be trusted and a few of them good."""
    draw = random.Random(seed)  # noqa: S311 no secrets
    good = [_photo(draw, kind, size) for kind in _KINDS for size in ((40, 30), (200, 150))]
    for _ in range(n):
        photo = _damaged(draw, draw.choice(good))
        kind, body = draw.choice(_TYPES), photo
        if kind.startswith("multipart") or draw.random() < 0.2:
            body = _damaged(draw, _form(draw, [photo, draw.choice(good)][: draw.randint(0, 2)]))
        path = draw.choice(("/predict", "/predict", "/predict", "/heat-map")) + "?" + draw.choice(_QUERIES)
        yield Upload(path, {"content-type": kind} if draw.random() < 0.97 else {}, body)


def _photo(draw: random.Random, kind: str, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.frombytes("RGB", size, draw.randbytes(size[0] * size[1] * 3)).save(file, kind)
    return file.getvalue()


def _form(draw: random.Random, photos: list[bytes]) -> bytes:
    end = draw.choice((b"\r\n", b"\r\n", b"\r\n", b"\n"))
    parts = []
    for photo in photos:
        head = f"content-disposition: form-data; name={draw.choice(_NAMES)}{draw.choice(_FILES)}".encode("latin-1")
        extra = draw.choice((b"", b"content-type: image/png" + end, b"x: " + b"y" * 9000 + end, b"no colon" + end))
        parts.append(b"--edge" + end + head + end + extra + end + photo + end)
    return b"".join(parts) + draw.choice((b"--edge--\r\n", b"--edge--", b"--edge", b""))


def _damaged(draw: random.Random, data: bytes) -> bytes:
    changes: list[Callable[[bytes], bytes]] = [
        lambda data: data,
        lambda data: data[: draw.randrange(len(data) + 1)],
        lambda data: data[draw.randrange(len(data) + 1) :],
        lambda data: _flipped(draw, data),
        lambda data: _flipped(draw, data[:64]) + data[64:],  # headers are where sizes stand
        lambda data: data + data,
        lambda data: data[:20] + draw.randbytes(200) + data[20:],
        lambda data: data[:8] + draw.randbytes(draw.randrange(2000)),
        lambda _: draw.randbytes(draw.randrange(500)),
        lambda _: b"",
    ]
    return draw.choice(changes)(data)


def _flipped(draw: random.Random, data: bytes) -> bytes:
    flipped = bytearray(data)
    for _ in range(draw.randint(1, 8) if data else 0):
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
    return bytes(flipped)
