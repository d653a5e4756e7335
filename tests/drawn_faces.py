"""Drawn faces, alone and on larger pictures, for tests of what looks for faces."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from gender_pipeline.sources.canvas import Frame
from gender_pipeline.sources.drawing import draw_photo
from gender_pipeline.sources.portrait import sample_person, sample_scene

# Seeds whose faces the detector finds: of the drawn faces it misses some.
FOUND = (0, 1, 3)


def face(seed: int, side_px: int = 200) -> Image.Image:
    """Draw a head that fills most of a square."""
    frame = Frame(side_px, side_px, side_px / 2, side_px / 2, side_px * 0.26)
    person = sample_person(np.random.default_rng(seed), ("female", "male")[seed % 2])
    return Image.open(io.BytesIO(draw_photo(person, sample_scene(np.random.default_rng(seed + 1)), frame)))


def group(places: Sequence[tuple[int, int]], size: tuple[int, int] = (900, 600), side_px: int = 200) -> Image.Image:
    """Put a face at each place (left, top) of an empty picture of `size` (width, height)."""
    picture = Image.new("RGB", size, (150, 160, 170))
    for seed, place in zip(FOUND, places, strict=False):
        picture.paste(face(seed, side_px), place)
    return picture


def encoded(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    """Encode an image."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()
