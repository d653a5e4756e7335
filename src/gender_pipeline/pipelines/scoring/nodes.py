"""Nodes that answer photos with the model in production."""

from pathlib import Path
from typing import Any

import pandas as pd

from gender_pipeline.export.predictor import load_predictor
from gender_pipeline.export.tables import Row, ScoringSettings, score
from gender_pipeline.registration.mlflow_models import FetchedModel


def score_photos(
    production_model: FetchedModel, photos_to_score: Path, scoring: ScoringSettings
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a row a face, and what was counted, with the version that answered."""
    rows: list[Row] = []
    tally = score(load_predictor(production_model.folder), [photos_to_score], rows.extend, crop=scoring.crop)
    return pd.DataFrame(rows), {"model": production_model.name, "version": production_model.version, **tally.counts()}
