"""Nodes that find labels a person should look at."""

import pandas as pd

from gender_pipeline.evaluation import label_review as reviewing
from gender_pipeline.evaluation.label_review import LabelReviewSettings
from gender_pipeline.images.shards import ShardStore
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache


def predict_out_of_fold(
    split_manifest: pd.DataFrame,
    recipe: Recipe,
    classes: list[str],
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    label_review: LabelReviewSettings,
) -> pd.DataFrame:
    """Return probabilities of each used photo by a model that saw no photo of its subject."""
    return reviewing.predict_out_of_fold(
        split_manifest, recipe, classes, images=image_shards, cache=feature_cache, settings=label_review
    )


def find_suspects(out_of_fold_predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Return the photos whose label is likely wrong, the most suspicious first."""
    return reviewing.find_suspects(out_of_fold_predictions, classes)


def write_review_page(
    suspected_labels: pd.DataFrame, image_shards: ShardStore, label_review: LabelReviewSettings
) -> str:
    """Return the contact sheet as one HTML page."""
    return reviewing.write_review_page(suspected_labels, image_shards, label_review)
