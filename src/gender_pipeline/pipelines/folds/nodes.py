"""Nodes that test every official fold and sum it up."""

from typing import Any

import pandas as pd

from gender_pipeline.evaluation import EvaluationSettings, folds
from gender_pipeline.evaluation.experiment import Experiment
from gender_pipeline.evaluation.slices import OVERALL, Slice
from gender_pipeline.images.shards import ShardStore
from gender_pipeline.recipes import Recipe
from gender_pipeline.splitting import SplittingSettings
from gender_pipeline.training import FeatureCache
from gender_pipeline.training.engine import recipe_rows


def measure_folds(
    validated_manifest: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    recipe: Recipe,
    classes: list[str],
    splitting: SplittingSettings,
    evaluation: EvaluationSettings,
) -> pd.DataFrame:
    """Return one row a fold with the metrics of the model that was trained on the others."""

    def measure_split(split: pd.DataFrame) -> Slice:
        experiment = Experiment(tuple(classes), split, image_shards, feature_cache, evaluation)
        return experiment.test(experiment.train(recipe.model_copy(update={"sources": ()})))[OVERALL]

    return folds.measure_folds(recipe_rows(validated_manifest, recipe), splitting, measure_split)


def summarise(fold_results: pd.DataFrame, recipe: Recipe) -> tuple[dict[str, Any], str]:
    """Return mean and standard deviation over the folds, and the same as a page."""
    summary = folds.summarise_folds(fold_results, recipe.name)
    return summary, folds.folds_markdown(fold_results, summary)
