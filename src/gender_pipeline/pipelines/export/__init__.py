"""From the model in production to files for other runtimes, compared with it."""

from gender_pipeline.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
