"""From split photos to the best of several models, each trained with other values of a recipe's settings."""

from gender_pipeline.pipelines.search.pipeline import create_pipeline

__all__ = ["create_pipeline"]
