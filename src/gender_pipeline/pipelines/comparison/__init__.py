"""From split photos to a table and a picture of several recipes: accuracy, latency, size."""

from gender_pipeline.pipelines.comparison.pipeline import create_pipeline

__all__ = ["create_pipeline"]
