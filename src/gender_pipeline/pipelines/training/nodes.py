"""The node that trains."""

from pathlib import Path

import pandas as pd

from gender_pipeline.images.shards import ShardStore
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import DeviceSettings, FeatureCache, TrainedModel, train


def train_model(
    split_manifest: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    checkpoints: Path,
    devices: DeviceSettings,
    recipe: Recipe,
    classes: list[str],
) -> tuple[TrainedModel, pd.DataFrame]:
    """Return (model, history with one row an epoch); only train rows are learned from, validation rows stop it."""
    return train(
        recipe,
        tuple(classes),
        split_manifest,
        images=image_shards,
        cache=feature_cache,
        checkpoints=checkpoints,
        devices=devices.names,
    )
