"""From raw archives to image shards and the manifest."""

from gender_pipeline.pipelines.manifest.pipeline import create_pipeline

__all__ = ["create_pipeline"]
