"""Nodes that train on one data set and test on each."""

import pandas as pd

from gender_pipeline.evaluation import EvaluationSettings, cross_source, page
from gender_pipeline.evaluation.cross_source import CrossSourceSettings
from gender_pipeline.evaluation.cross_source_picture import draw_cross_source
from gender_pipeline.evaluation.experiment import Experiment
from gender_pipeline.images.shards import ShardStore
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import DeviceSettings, FeatureCache


def train_and_test(
    split_manifest: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    classes: list[str],
    evaluation: EvaluationSettings,
    devices: DeviceSettings,
    recipe: Recipe,
    settings: CrossSourceSettings,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (cells, one row each; the matrix, one row a trained model)."""
    names = tuple(classes)
    experiment = Experiment(names, split_manifest, image_shards, feature_cache, evaluation, devices.names)
    cells = cross_source.cross_source_cells(experiment, recipe, settings)
    return cells, cross_source.cross_source_matrix(cells)


def present(cells: pd.DataFrame, recipe: Recipe, data_note: str) -> tuple[dict[str, bytes], str]:
    """Return (pictures as file name -> PNG bytes, page)."""
    pictures, facts = draw_cross_source(cells), {"recipe": recipe.name, "data": data_note}
    return pictures, page.write_cross_source_page(cells, pictures, facts)
