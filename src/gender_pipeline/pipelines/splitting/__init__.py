"""From validated photos to train, validation and test, disjoint in subjects."""

from gender_pipeline.pipelines.splitting.pipeline import create_pipeline

__all__ = ["create_pipeline"]
