"""Faces in photos: where they are, and each cut out as a photo of its own."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, cast

import numpy as np
from PIL import Image, ImageOps

from gender_pipeline.images.decode import load_image, to_rgb

FACES_VERSION: Final = 1  # raise it when the same photo gives other crops: what is cropped is then read anew

# The detector finds faces of 80 px and more: where the longer side has 640 px, those of an eighth of it. A photo that
# shows none is looked at once more in twice the size, which takes four times as long.
_WORKING_PX: Final = (640, 1280)
# Small photos are enlarged, for a face that fills them is small too: at first only so far.
_SMALL_PX: Final = 384
_MOST_ENLARGED: Final = 2.0
# Side of the crop in boxes: as in CelebA's aligned photos; in age-gender's it is 1.3 (docs/explanation/faces.md).
_MARGIN: Final = 1.8
_GREY: Final = (128, 128, 128)
# A crop keeps the format of its photo, as its name does.
_ENCODING: Final[dict[str, dict[str, Any]]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "BMP": {},
    "WEBP": {"lossless": True},
}

_idle: Final[SimpleQueue[Any]] = SimpleQueue()

Box: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True)
class FaceCrop:
    """A face of a photo.

    Attributes:
        box: Where the detector saw it: (x, y, width, height) in pixels of the upright photo.
        data: A square around it with a margin, encoded: a photo like those of an aligned data set.
    """

    box: Box
    data: bytes


def cut_faces(data: bytes) -> list[FaceCrop]:
    """Find the faces of an encoded photo and cut each out, the largest first.

    What ingest stores and what a predictor decodes are these same bytes, so that both see the same pixels.

    Raises:
        ImageError: The photo cannot be decoded (`images.decode.load_image`).
    """
    image = load_image(data)
    upright = to_rgb(image)
    return [FaceCrop(box, _cut(upright, box, str(image.format))) for box in find_faces(upright)]


def find_faces(image: Image.Image) -> list[Box]:
    """Find upright faces in an upright RGB photo with dlib's HOG detector (Dalal & Triggs 2005).

    Returns:
        (x, y, width, height) in pixels, which may reach over the photo's edge; the largest first.
    """
    side = max(image.size)
    first, second = (min(size_px / side, _MOST_ENLARGED) for size_px in _WORKING_PX)
    scales = dict.fromkeys((min(first, max(1.0, _SMALL_PX / side)), second))
    return next(filter(None, (_detect(image, scale) for scale in scales)), [])


def _detect(image: Image.Image, scale: float) -> list[Box]:
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # Averaging boxes of pixels first bounds the work by what is looked at, not by what the photo has.
    small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    with _detector() as detect:
        found = [(face.left(), face.top(), face.width(), face.height()) for face in detect(np.asarray(small), 0)]
    boxes = [cast("Box", tuple(round(value / scale) for value in face)) for face in found]
    return sorted(boxes, key=lambda box: (-box[2] * box[3], box))


def square_around(box: Box) -> Box:
    """Return the square that is cut out around a face, which may reach over the photo's edge."""
    x, y, width, height = box
    side = round(max(width, height) * _MARGIN)
    return round(x + width / 2 - side / 2), round(y + height / 2 - side / 2), side, side


def _cut(image: Image.Image, box: Box, encoding: str) -> bytes:
    left, top, side, _ = square_around(box)
    inside = (max(left, 0), max(top, 0), min(left + side, image.width), min(top + side, image.height))
    outside = (inside[0] - left, inside[1] - top, left + side - inside[2], top + side - inside[3])
    crop = ImageOps.expand(image.crop(inside), outside, fill=_GREY)
    file = io.BytesIO()
    crop.save(file, encoding, **_ENCODING[encoding])
    return file.getvalue()


@contextmanager
def _detector() -> Iterator[Any]:
    """Lend a detector: they work side by side in threads, none in two at once, and to make one takes half a second."""
    import dlib

    try:
        detector = _idle.get_nowait()
    except Empty:
        detector = dlib.get_frontal_face_detector()
    try:
        yield detector
    finally:
        _idle.put(detector)
