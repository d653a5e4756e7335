"""Photos a second from raw archives into image shards, and as a share of decoding the same JPEGs and nothing else."""

import io
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from gender_pipeline.images.decode import map_ahead
from gender_pipeline.images.shards import ShardSettings, SourcePhotos, update_shards
from gender_pipeline.sources import SourceSettings, read_photos
from gender_pipeline.sources.sample import SampleSettings, draw_sample

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"
SOURCES = ("celeba", "age_gender", "muct")
CHUNK = 64


def run() -> None:
    """Measure the real photos where there are any, else the drawn sample, and print one line a source."""
    with TemporaryDirectory() as folder:
        root = REAL_DATA
        if not root.is_dir():
            root = Path(folder) / "raw"
            draw_sample(SampleSettings(), root)
        settings = ShardSettings()
        shards = {source: _ingest(root, source, Path(folder) / source, settings) for source in SOURCES}
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        _print_table(root, shards, settings)
    print(f"peak memory of the ingest: {peak_mib:.0f} MiB, {settings.workers} threads")


def _ingest(root: Path, source: str, folder: Path, settings: ShardSettings) -> float:
    photos = SourcePhotos("bench", lambda: read_photos(root, SourceSettings(reader=source, folder=source)))
    return _seconds(lambda: update_shards(folder, {source: photos}, settings))


def _print_table(root: Path, ingest_seconds: dict[str, float], settings: ShardSettings) -> None:
    print(f"ingest of {root}\n")
    print(
        f"{'photos a second':16}{'photos':>8}{'ingest':>8}{'decode':>8}{'share':>7}{'decode, 1 thread':>18}{'share':>7}"
    )
    total = dict.fromkeys(("photos", "ingest", "threads", "single"), 0.0)
    for source in SOURCES:
        data = [photo.data for photo in read_photos(root, SourceSettings(reader=source, folder=source)) if photo.data]
        chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
        row = {
            "photos": float(len(data)),
            "ingest": ingest_seconds[source],
            "threads": _seconds(lambda chunks=chunks: list(map_ahead(_decode, chunks, workers=settings.workers))),
            "single": _seconds(lambda chunks=chunks: [_decode(chunk) for chunk in chunks]),
        }
        _print_row(source, **row)
        total = {key: total[key] + row[key] for key in total}
    _print_row("all", **total)


def _print_row(source: str, *, photos: float, ingest: float, threads: float, single: float) -> None:
    rates = f"{photos / ingest:8.0f}{photos / threads:8.0f}{threads / ingest:7.0%}"
    print(f"{source:16}{photos:8.0f}{rates}{photos / single:18.0f}{single / ingest:7.0%}")


def _decode(chunk: list[bytes]) -> None:
    for data in chunk:
        try:
            Image.open(io.BytesIO(data)).load()
        except OSError:
            continue  # the sample holds broken photos on purpose


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
