"""Nodes that compare recipes."""

import pandas as pd

from gender_pipeline.evaluation import EvaluationSettings, comparison, page
from gender_pipeline.evaluation.comparison import ComparisonSettings
from gender_pipeline.evaluation.comparison_picture import draw_comparison
from gender_pipeline.evaluation.experiment import Experiment
from gender_pipeline.images.shards import ShardStore
from gender_pipeline.training import DeviceSettings, FeatureCache


def compare_recipes(
    split_manifest: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    classes: list[str],
    evaluation: EvaluationSettings,
    devices: DeviceSettings,
    settings: ComparisonSettings,
) -> pd.DataFrame:
    """Return one row a recipe, trained, tested and timed."""
    names = tuple(classes)
    experiment = Experiment(names, split_manifest, image_shards, feature_cache, evaluation, devices.names)
    return comparison.compare_recipes(experiment, settings)


def present(comparison: pd.DataFrame, data_note: str) -> tuple[dict[str, bytes], str]:
    """Return (pictures as file name -> PNG bytes, page)."""
    pictures = draw_comparison(comparison)
    return pictures, page.write_comparison_page(comparison, pictures, data_note)
