"""From validated photos with official folds to the mean accuracy over the folds and its deviation."""

from gender_pipeline.pipelines.folds.pipeline import create_pipeline

__all__ = ["create_pipeline"]
