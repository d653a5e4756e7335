"""Nodes that bring raw archives into shards and a manifest."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from gender_pipeline.images.ingest import ingest
from gender_pipeline.images.shards import ShardSettings, ShardStore
from gender_pipeline.sources import SourcesSettings
from gender_pipeline.sources.corrections import apply_corrections
from gender_pipeline.sources.sample import SampleSettings
from gender_pipeline.sources.sample import draw_sample as write_sample


def draw_sample(sample: SampleSettings) -> Callable[[Path], None]:
    """Return what draws the sample archives into a folder; with no subjects it draws nothing."""
    return partial(write_sample, sample)


def ingest_photos(raw_archives: Path, sources: SourcesSettings, images: ShardSettings) -> Callable[[Path], ShardStore]:
    """Return what brings a shard folder up to date with the sources; what is stored is not made again."""
    return partial(ingest, root=raw_archives, sources=sources, settings=images)


def list_photos(image_shards: ShardStore, label_corrections: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Return the manifest: one row a photo, all columns but the image, with the labels that a review corrected."""
    return apply_corrections(image_shards.manifest(), label_corrections, classes)
