"""From metrics to a registered, gated and promoted model version."""

from gender_pipeline.pipelines.registration.pipeline import create_pipeline

__all__ = ["create_pipeline"]
