"""From the manifest to the photos that passed, with a quarantine table and Data Docs."""

from gender_pipeline.pipelines.validation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
