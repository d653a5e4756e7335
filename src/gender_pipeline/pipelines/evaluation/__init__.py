"""From a trained model to predictions, metrics, pictures and a report."""

from gender_pipeline.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
