"""Nodes that export the model in production, compare the files with it, and hold back what differs too much."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from gender_pipeline.evaluation.export_page import write_export_page
from gender_pipeline.evaluation.latency import device_name
from gender_pipeline.export import write
from gender_pipeline.export.compare import check_exports, compare_exports
from gender_pipeline.export.labelled import labelled_photos
from gender_pipeline.export.settings import ExportSettings
from gender_pipeline.images.shards import ShardStore
from gender_pipeline.registration.mlflow_models import FetchedModel
from gender_pipeline.schema import TEST, TRAIN
from gender_pipeline.training import TrainedModel


def write_files(
    production_model: FetchedModel, split_manifest: pd.DataFrame, *, image_shards: ShardStore, export: ExportSettings
) -> Callable[[Path], None]:
    """Return what writes the model in all formats into a folder."""
    source, n_photos = production_model, export.n_representative
    model = TrainedModel.load(source.folder)
    photos = labelled_photos(model, split_manifest, image_shards, split=TRAIN, n_photos=n_photos).pixels
    about = write.describe(model, name=source.name, version=source.version, commit=source.commit)
    files = partial(write.write_exports, model_folder=source.folder, settings=export, photos=photos)
    return partial(files, about=about, card=source.card)


def compare_files(
    production_model: FetchedModel,
    export_candidate: Path,
    split_manifest: pd.DataFrame,
    *,
    image_shards: ShardStore,
    export: ExportSettings,
) -> dict[str, Any]:
    """Return how each file does on test photos, beside the model it was made of."""
    model = TrainedModel.load(production_model.folder)
    photos = labelled_photos(model, split_manifest, image_shards, split=TEST, n_photos=export.n_photos)
    about = {"name": production_model.name, "version": production_model.version, "device": device_name()}
    return {**about, "formats": compare_exports(model, export_candidate, photos, export)}


def present(export_comparison: dict[str, Any], data_note: str) -> str:
    """Return the comparison as one HTML page."""
    return write_export_page(export_comparison, data_note)


def pass_gate(
    export_candidate: Path, export_comparison: dict[str, Any], export_page: str, export: ExportSettings
) -> Callable[[Path], None]:
    """Return what moves the files to where people copy them from, or raise where one is out of its tolerance."""
    check_exports(export_comparison["formats"], export)
    pages = {"comparison.json": json.dumps(export_comparison, indent=1) + "\n", "comparison.html": export_page}
    return partial(write.publish, checked=export_candidate, pages=pages)
