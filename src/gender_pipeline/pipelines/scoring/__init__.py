"""New photos answered by the model in production, on a schedule."""

from gender_pipeline.pipelines.scoring.pipeline import create_pipeline

__all__ = ["create_pipeline"]
