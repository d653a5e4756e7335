"""Exported files against Keras, by batch size: EfficientNet-Lite0 with ImageNet weights, all in the same run."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gender_pipeline.export.networks import load_network
from gender_pipeline.export.predictor import Predictor
from gender_pipeline.export.settings import FILES, KERAS, ExportSettings, Tolerance
from gender_pipeline.export.write import describe, write_exports
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import TrainedModel
from gender_pipeline.training.network import build_network
from gender_pipeline.zoo import weights_digest

SIZE_PX = 160  # as in the recipe `quickstart`
ROUNDS = {1: 100, 32: 10}
ANY = Tolerance(equal_labels=0, probability_difference=1, accuracy_loss=1)
SETTINGS = ExportSettings(tolerances=dict.fromkeys((KERAS, *FILES), ANY))

Call = Callable[[np.ndarray], Any]


def run() -> None:
    """Print the median milliseconds of each way to run the network, and Keras' `predict_on_batch` over it."""
    model = _model()
    photos = np.random.default_rng(0).integers(0, 256, (32, SIZE_PX, SIZE_PX, 3), np.uint8)
    print(f"EfficientNet-Lite0, {SIZE_PX} px, {os.cpu_count()} cores: milliseconds a batch, times Keras' speed\n")
    print(f"{'':24}{'MB':>6}{'1 photo':>12}{'times':>7}{'32 photos':>12}{'times':>7}")
    with TemporaryDirectory() as folder:
        megabytes = model.network.count_params() * 4 / 1e6
        keras = {"predict_on_batch": Predictor.of(model).network, "in a tf.function": _graph(model)}
        ways = {f"Keras {name}": (megabytes, call) for name, call in keras.items()}
        ways |= _exports(model, photos, Path(folder))
        timed = {size: _medians({name: call for name, (_, call) in ways.items()}, photos, size) for size in ROUNDS}
    for name, (megabytes, _) in ways.items():
        print(f"{name:24}{megabytes:6.1f}", end="")
        for medians in timed.values():
            print(f"{medians[name]:12.1f}{next(iter(medians.values())) / medians[name]:7.1f}", end="")
        print()


def _model() -> TrainedModel:
    recipe = Recipe(
        name="bench",
        backbone="efficientnet_lite0",
        image_size_px=SIZE_PX,
        optimizer={"learning_rate": 0.1},
        epochs=1,
        batch_size=1,
        patience=1,
        seed=0,
    )
    network = build_network(recipe, 2)
    return TrainedModel(network, recipe, ("female", "male"), "pooled", weights_digest(network))


def _graph(model: TrainedModel) -> Call:
    import tensorflow as tf

    graph = tf.function(partial(model.network, training=False), reduce_retracing=True)
    return lambda pixels: np.asarray(graph(tf.constant(pixels)))


def _exports(model: TrainedModel, photos: np.ndarray, folder: Path) -> dict[str, tuple[float, Call]]:
    model.save(folder / "model")
    about = describe(model, name="bench", version="", commit="")
    written = folder / "exports"
    write_exports(written, model_folder=folder / "model", settings=SETTINGS, photos=photos, about=about, card="")
    return {name: (_megabytes(written / name), load_network(written / name)) for name in FILES.values()}


def _medians(ways: dict[str, Call], photos: np.ndarray, batch_size: int) -> dict[str, float]:
    """Call all ways by turns, so that what else the machine does slows all of them alike."""
    pixels = photos[:batch_size].astype(np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS[batch_size] + 3):
        for name, call in ways.items():
            start = time.perf_counter()
            call(pixels)
            if number >= 3:  # the first ones trace graphs and fill caches
                seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * median(values) for name, values in seconds.items()}


def _megabytes(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6
