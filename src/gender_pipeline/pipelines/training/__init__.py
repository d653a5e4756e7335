"""From split photos to a trained model."""

from gender_pipeline.pipelines.training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
