"""From split photos to a matrix: trained on one data set, tested on each."""

from gender_pipeline.pipelines.cross_source.pipeline import create_pipeline

__all__ = ["create_pipeline"]
