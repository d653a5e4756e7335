"""Nodes that answer photos with the model in production."""

from pathlib import Path
from typing import Any

import pandas as pd

from gender_pipeline.export.predictor import load_predictor
from gender_pipeline.export.tables import Row, ScoringSettings, rows_table, score
from gender_pipeline.registration.mlflow_models import FetchedModel


def score_photos(
    production_model: FetchedModel, photos_to_score: Path, scoring: ScoringSettings
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a row a face, and what was counted, with the version that answered."""
    predictor, rows = load_predictor(production_model.folder), list[Row]()
    tally = score(predictor, [photos_to_score], rows.extend, crop=scoring.crop)
    counts = {"model": production_model.name, "version": production_model.version, **tally.counts()}
    return rows_table(rows, predictor.class_names), counts
