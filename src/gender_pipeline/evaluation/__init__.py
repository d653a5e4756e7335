"""What a model is worth: predictions, metrics with intervals over subjects, pictures, and a report."""

from gender_pipeline.evaluation.bootstrap import EvaluationSettings
from gender_pipeline.evaluation.pictures import draw_pictures
from gender_pipeline.evaluation.predictions import predictions_digest, predictions_table
from gender_pipeline.evaluation.report import write_report
from gender_pipeline.evaluation.slices import flat_metrics, measure

__all__ = [
    "EvaluationSettings",
    "draw_pictures",
    "flat_metrics",
    "measure",
    "predictions_digest",
    "predictions_table",
    "write_report",
]
