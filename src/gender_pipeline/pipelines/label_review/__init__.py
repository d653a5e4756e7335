"""From split photos to suspected labels and a page to decide on."""

from gender_pipeline.pipelines.label_review.pipeline import create_pipeline

__all__ = ["create_pipeline"]
