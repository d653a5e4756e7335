"""Exported files, each run by its own runtime, compared with the model they were made of on photos."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gender_pipeline.errors import ExportError, examples
from gender_pipeline.export.convert import float32_network
from gender_pipeline.export.labelled import LabelledPhotos
from gender_pipeline.export.networks import Network, load_network, read_description
from gender_pipeline.export.predictor import BATCH_SIZE, Predictor
from gender_pipeline.export.settings import FILES, KERAS, ExportSettings, Tolerance
from gender_pipeline.training import TrainedModel
from gender_pipeline.training.features import no_xla

_WARM_UP: Final = 3
_LIMITS: Final = {
    "equal_labels": ("at least {:.2%} equal labels", "{:.2%}"),
    "probability_difference": ("probabilities that differ by at most {:.3g}", "{:.3g}"),
    "accuracy_loss": ("at most {:.2%} less accuracy", "{:.2%}"),
}


def compare_exports(
    model: TrainedModel, folder: Path, photos: LabelledPhotos, settings: ExportSettings
) -> dict[str, dict[str, Any]]:
    """Compare exported files, and the model as it is, with the model computed in float32.

    Latencies are medians over calls with photos in memory, from pixels to probabilities. Keras is called in the faster
    of two ways, `predict_on_batch` and a `tf.function`; all are measured one after the other on an otherwise idle
    machine.

    Args:
        model: What was exported.
        folder: What `write_exports` wrote.
        photos: n photos that the model was not trained on.
        settings: Which files, and how many calls.

    Returns:
        By `keras` and the formats: `file`, `size_bytes`, `equal_labels` and `accuracy` in [0, 1],
        `probability_difference` (the largest), `accuracy_loss`, `latency_1_ms` and `latency_32_ms` of a batch of 1 and
        of 32 photos, `photos`.

    Raises:
        ExportError: A file cannot be loaded, or is of another model.
    """
    network = float32_network(model.network)
    no_xla(network)
    reference = _answers(lambda pixels: np.asarray(network.predict_on_batch(pixels), np.float32), photos.pixels)
    paths: dict[str, Path | None] = {KERAS: None, **{name: folder / FILES[name] for name in settings.formats}}
    compared = {}
    for name, path in tqdm(paths.items(), desc="comparison", unit="format", disable=None):
        run = _load(path, model) if path else Predictor.of(model).network
        ways = [run] if path else [run, _graph(model)]
        compared[name] = {
            "file": path.name if path else "",
            "size_bytes": _size(path) if path else network.count_params() * 4,
            **_agreement(_answers(run, photos.pixels), reference, photos.codes),
            "latency_1_ms": min(_latency_ms(way, photos.pixels, 1, settings.repeats) for way in ways),
            "latency_32_ms": min(_latency_ms(way, photos.pixels, 32, -(-settings.repeats // 5)) for way in ways),
            "photos": len(photos.codes),
        }
    return compared


def check_exports(compared: Mapping[str, Mapping[str, Any]], settings: ExportSettings) -> None:
    """Do nothing where all exports are within their tolerances.

    Args:
        compared: What `compare_exports` gave.
        settings: The settings it was made with.

    Raises:
        ExportError: One is not; the message names at most five.
    """
    broken = [
        (name, expected, received)
        for name, row in compared.items()
        for expected, received in _breaches(row, settings.tolerances[name])  # type: ignore[index]
    ]
    if broken:
        raise ExportError(
            f"{len({name for name, *_ in broken})} of {len(compared)} formats differ too much from the model",
            expected=examples(f"[{name}: {expected}]" for name, expected, _ in broken),
            received=examples(f"[{name}: {received}]" for name, _, received in broken),
            remedy="look at the comparison (export/comparison.html); for int8 raise `export.float_share`, leave a "
            "format out of `export.formats`, or change its tolerance in conf/<env>/parameters/export.yml",
        )


def _load(path: Path, model: TrainedModel) -> Network:
    found = read_description(path).weights_digest
    if found != model.weights_digest:
        raise ExportError(
            f"{path} is of another model than the one it is to be compared with",
            expected=f"weights digest {model.weights_digest}",
            received=found,
            remedy="export again; where `production` has just moved to another version, that is all",
        )
    return load_network(path)


def _breaches(row: Mapping[str, Any], tolerance: Tolerance) -> list[tuple[str, str]]:
    """Return (expected, received) of each tolerance that a format breaks."""
    breaches = []
    for name, (expected, received) in _LIMITS.items():
        limit, found = getattr(tolerance, name), row[name]
        if found < limit if name == "equal_labels" else found > limit:
            breaches.append((expected.format(limit), received.format(found)))
    return breaches


def _agreement(
    answers: NDArray[np.float32], reference: NDArray[np.float32], codes: NDArray[np.int64]
) -> dict[str, float]:
    """Compare answers (n, k) with those of the reference (n, k) and with the labels (n,)."""
    labels, expected = answers.argmax(axis=1), reference.argmax(axis=1)
    accuracy = float(np.mean(labels == codes))
    differences = np.nan_to_num(np.abs(answers - reference), nan=1.0)  # what is no number is as wrong as can be
    return {
        "equal_labels": float(np.mean(labels == expected)),
        "probability_difference": float(differences.max()),
        "accuracy": accuracy,
        "accuracy_loss": float(np.mean(expected == codes)) - accuracy,
    }


def _answers(network: Network, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Run a network over photos (n, S, S, 3) in batches; gives (n, k)."""
    starts = range(0, len(pixels), BATCH_SIZE)
    return np.concatenate([network(pixels[start : start + BATCH_SIZE].astype(np.float32)) for start in starts])


def _latency_ms(network: Network, pixels: NDArray[np.uint8], batch_size: int, repeats: int) -> float:
    batch = np.resize(pixels, (batch_size, *pixels.shape[1:])).astype(np.float32)
    for _ in range(_WARM_UP):
        network(batch)
    seconds = []
    for _ in range(repeats):
        start = perf_counter()
        network(batch)
        seconds.append(perf_counter() - start)
    return 1000 * median(seconds)


def _graph(model: TrainedModel) -> Network:
    """Return the model as a plain TensorFlow graph, without what `predict_on_batch` does around it."""
    import tensorflow as tf

    graph: Any = tf.function(lambda pixels: model.network(pixels, training=False), reduce_retracing=True)
    return lambda pixels: np.asarray(graph(tf.constant(pixels)), np.float32)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
