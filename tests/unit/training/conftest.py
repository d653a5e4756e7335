"""Photos in memory, and a backbone so small that it trains in a second."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gender_pipeline.recipes import Recipe
from gender_pipeline.zoo import SPECS, BackboneSpec


class Album:
    """Photos in memory that remember which of them were asked for."""

    def __init__(self, photos: Sequence[bytes]) -> None:
        self.photos = {hashlib.sha256(photo).hexdigest(): photo for photo in photos}
        self.asked: list[str] = []

    @property
    def ids(self) -> list[str]:
        return list(self.photos)

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for image_id, photo in self.photos.items():
            if image_id in image_ids:
                self.asked.append(image_id)
                yield image_id, photo


def photo(number: int) -> bytes:
    """Draw one of two kinds of photo: even numbers are reddish, odd ones bluish."""
    pixels = np.random.default_rng(number).integers(0, 120, (40, 40, 3), dtype=np.uint8)
    pixels[..., 0 if number % 2 == 0 else 2] += 100
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def connect_toy(pixels: Any, pooling: str) -> Any:
    import keras
    from keras import layers

    x = pixels
    for name in ("stem", "block1", "block2"):
        x = layers.Conv2D(8, 3, strides=2, use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.ReLU(name=name)(x)
    pool = layers.GlobalAveragePooling2D if pooling == "average" else layers.Flatten
    return keras.Model(keras.utils.get_source_inputs(pixels), pool(name="pooled")(x))


TOY = BackboneSpec(
    name="toy",
    image_size_px=32,
    pixel_scale=1 / 32,
    pixel_offset=-3.0,
    block_ends={name: name for name in ("stem", "block1", "block2", "pooled")},
    connect=connect_toy,
    weights=None,
    licence="Apache-2.0",
    citation="none",
)


@pytest.fixture(autouse=True)
def toy_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPECS, "toy", TOY)


@pytest.fixture
def album() -> Album:
    return Album([photo(number) for number in range(48)])


@pytest.fixture
def split_manifest(album: Album) -> pd.DataFrame:
    """48 photos of two classes: 24 train, 12 validation, 8 test, 4 excluded."""
    return pd.DataFrame(
        {
            "image_id": album.ids,
            "label": ["female", "male"] * 24,
            "split": ["train"] * 24 + ["validation"] * 12 + ["test"] * 8 + ["excluded"] * 4,
        }
    )


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        name="tiny",
        backbone="toy",
        weights="none",
        image_size_px=32,
        head={"hidden_units": [8], "dropout": 0.2},
        optimizer={"learning_rate": 0.01},
        epochs=3,
        batch_size=12,
        patience=3,
        seed=1,
    )
