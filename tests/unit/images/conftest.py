"""Images made in code."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gender_pipeline.schema import Photo


def draw(seed: int = 0, size: tuple[int, int] = (64, 48), n_patches: int = 6) -> Image.Image:
    """Draw n_patches x n_patches soft patches of colour on `size` (width, height) pixels, others for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n_patches, n_patches, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encode_image(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def make_photos(n_photos: int, first_seed: int = 0) -> Iterator[Photo]:
    for seed in range(first_seed, first_seed + n_photos):
        data = encode_image(draw(seed))
        yield Photo(f"{seed:03d}.jpg", data, subject_id=str(seed // 2), label=("female", "male")[seed % 2])


@pytest.fixture
def drawn() -> Callable[..., Image.Image]:
    return draw


@pytest.fixture
def encode() -> Callable[..., bytes]:
    return encode_image


@pytest.fixture
def photos() -> Callable[..., Iterator[Photo]]:
    return make_photos
