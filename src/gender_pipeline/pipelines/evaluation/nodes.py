"""Nodes that measure a trained model."""

from typing import Any

import pandas as pd

from gender_pipeline import evaluation as measuring
from gender_pipeline.evaluation import EvaluationSettings
from gender_pipeline.images.shards import ShardStore
from gender_pipeline.splitting import protocol_text
from gender_pipeline.training import FeatureCache, TrainedModel, predict_photos, recipe_rows


def predict_split(
    model: TrainedModel,
    split_manifest: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    evaluation: EvaluationSettings,
) -> pd.DataFrame:
    """Return the predictions table: one row a photo of the recipe's data sets, of every split."""
    rows = recipe_rows(split_manifest, model.recipe)
    probabilities = predict_photos(
        model, list(rows["image_id"]), image_shards, feature_cache, crops=evaluation.test_crops
    )
    return measuring.predictions_table(rows, model.class_names, probabilities)


def measure(predictions: pd.DataFrame, evaluation: EvaluationSettings) -> dict[str, Any]:
    """Return metrics with intervals by split and source."""
    return measuring.measure(predictions, evaluation)


def draw_pictures(predictions: pd.DataFrame, metrics: dict[str, Any], history: pd.DataFrame) -> dict[str, bytes]:
    """Return the pictures as file name -> PNG bytes."""
    return measuring.draw_pictures(predictions, metrics, history)


def write_report(
    metrics: dict[str, Any],
    pictures: dict[str, bytes],
    *,
    split_audit: pd.DataFrame,
    quarantine: pd.DataFrame,
    model: TrainedModel,
    evaluation: EvaluationSettings,
    data_note: str,
) -> str:
    """Return the evaluation report as one HTML page."""
    protocol = f"{protocol_text(split_audit)}; crops of a photo: {evaluation.test_crops}"
    facts = {**model.facts(), "protocol": protocol, "data": data_note}
    return measuring.write_report(metrics, pictures, audit=split_audit, quarantine=quarantine, facts=facts)
