"""Experiments on photos made in code, for tests of what trains several models."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from gender_pipeline.evaluation import EvaluationSettings
from gender_pipeline.evaluation.experiment import Experiment
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache
from prediction_tables import GENDERS, split_photos

FAST = EvaluationSettings(n_bootstrap=100)
RECIPE = Recipe(
    name="tiny",
    backbone="efficientnet_lite0",
    weights="none",
    image_size_px=32,
    optimizer={"learning_rate": 0.01},
    epochs=1,
    batch_size=8,
    patience=1,
    seed=1,
)


class Album:
    """Photos in memory: reddish ones and bluish ones by turns, each another one."""

    def __init__(self, n_photos: int) -> None:
        photos = [self._photo(number) for number in range(n_photos)]
        self.photos = {hashlib.sha256(photo).hexdigest(): photo for photo in photos}

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for image_id in image_ids:
            yield image_id, self.photos[image_id]

    @staticmethod
    def _photo(number: int) -> bytes:
        pixels = np.random.default_rng(number).integers(0, 120, (32, 32, 3), dtype=np.uint8)
        pixels[..., 2 * (number % 2)] += 100
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()


def split_table(sizes: dict[str, tuple[int, int, int]]) -> pd.DataFrame:
    """Return a split manifest with so many train, validation and test photos of each source, both classes by turns."""
    parts = [
        split_photos([GENDERS[number % 2] for number in range(count)], source=source, split=split)
        for source, counts in sizes.items()
        for split, count in zip(("train", "validation", "test"), counts, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def tiny_experiment(folder: Path, sizes: dict[str, tuple[int, int, int]]) -> Experiment:
    """Return an experiment on photos that exist, with a cache in the folder."""
    manifest = split_table(sizes)
    album = Album(len(manifest))
    return Experiment(GENDERS, manifest.assign(image_id=list(album.photos)), album, FeatureCache(folder), FAST)
