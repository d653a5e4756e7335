"""Split, features, weights and predictions do not hang on how the shards came about."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gender_pipeline.images.shards import ShardSettings, ShardStore, SourcePhotos, update_shards
from gender_pipeline.recipes import Recipe
from gender_pipeline.schema import Photo
from gender_pipeline.splitting import SplittingSettings, group_subjects, split_photos
from gender_pipeline.training import FeatureCache, train
from gender_pipeline.training.trained_model import predict_photos

CLASSES = ("female", "male")


def store(folder: Path, *states: list[Photo]) -> ShardStore:
    for number, state in enumerate(states):
        source = SourcePhotos(str(number), lambda state=state: iter(state))
        found = update_shards(folder, {"own": source}, ShardSettings())
    return found


@pytest.fixture
def stores(tmp_path: Path, album: Any) -> tuple[ShardStore, ShardStore]:
    """The same photos: written at once, and grown in three steps in another order with some taken out meanwhile."""
    photos = [
        Photo(f"{n:02d}.png", data, subject_id=str(n // 2 % 16), label=CLASSES[n % 2])
        for n, data in enumerate(album.photos.values())
    ]
    turned = photos[::-1]
    return store(tmp_path / "fresh", photos), store(tmp_path / "grown", turned[:30], turned[10:], turned[5:], turned)


def run(images: ShardStore, recipe: Recipe, folder: Path) -> tuple[pd.DataFrame, str, np.ndarray, list[str]]:
    manifest = images.manifest()
    settings = SplittingSettings()
    split = split_photos(manifest, group_subjects(manifest, settings), None, settings)
    cache = FeatureCache(folder)
    model, _ = train(recipe, CLASSES, split, images=images, cache=cache)
    answers = predict_photos(model, split["image_id"].tolist(), images, cache)
    return split, model.weights_digest, answers, [image_id for image_id, _ in images.images(split["image_id"])]


@pytest.mark.parametrize("trainable", ["head", "all"])
def test_shard_history_changes_neither_split_nor_weights_nor_predictions(
    stores: tuple[ShardStore, ShardStore], recipe: Recipe, tmp_path: Path, trainable: str
) -> None:
    recipe = recipe.model_copy(update={"trainable": trainable, "epochs": 1})
    fresh, grown = (run(images, recipe, tmp_path / f"cache{n}") for n, images in enumerate(stores))
    assert fresh[3] != grown[3]  # the photos did come in another order
    pd.testing.assert_frame_equal(fresh[0], grown[0])
    assert fresh[1] == grown[1]
    np.testing.assert_array_equal(fresh[2], grown[2])
