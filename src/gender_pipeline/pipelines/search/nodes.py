"""The node that searches."""

import gc

import pandas as pd

from gender_pipeline.images.shards import ShardStore
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import DeviceSettings, FeatureCache, TrainedModel, train
from gender_pipeline.training.search import SearchSettings, search


def search_settings(
    split_manifest: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    devices: DeviceSettings,
    recipe: Recipe,
    classes: list[str],
    settings: SearchSettings,
) -> tuple[pd.DataFrame, pd.DataFrame, TrainedModel, pd.DataFrame]:
    """Return (trials, their curves, the best model, its history); validation photos choose, test photos do not."""

    def train_one(trial: Recipe) -> tuple[TrainedModel, pd.DataFrame]:
        # Networks refer to themselves: without this, those of several trials would be in memory at a time.
        gc.collect()
        names = tuple(classes)
        return train(trial, names, split_manifest, images=image_shards, cache=feature_cache, devices=devices.names)

    found = search(recipe, settings, train_one)
    return found.trials, found.curves, found.model, found.history
