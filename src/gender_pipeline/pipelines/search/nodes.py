"""Nodes that search, and take what is best."""

import gc
from collections.abc import Iterator

import pandas as pd

from gender_pipeline.images.shards import ShardStore
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import DeviceSettings, FeatureCache, TrainedModel, train
from gender_pipeline.training.search import Found, SearchSettings, search


def search_settings(
    split_manifest: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    devices: DeviceSettings,
    recipe: Recipe,
    classes: list[str],
    settings: SearchSettings,
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, Found]]:
    """Yield (trials, their curves, all that is found) after each trial, which Kedro saves; test photos take no part."""

    def train_one(trial: Recipe) -> tuple[TrainedModel, pd.DataFrame]:
        # Networks refer to themselves: without this, those of several trials would be in memory at a time.
        gc.collect()
        names = tuple(classes)
        return train(trial, names, split_manifest, images=image_shards, cache=feature_cache, devices=devices.names)

    for found in search(recipe, settings, train_one):
        yield found.trials, found.curves, found


def keep_best(found: Found) -> tuple[TrainedModel, pd.DataFrame]:
    """Return (the best model, its history)."""
    return found.model, found.history
