"""The engine against the plain way: Keras `fit` from JPEG files, float32, every layer computed in every epoch."""

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, train
from gender_pipeline.training.network import build_network, cut_layer
from gender_pipeline.zoo import cut

CLASSES = ("female", "male")


class Case(NamedTuple):
    """What is trained, and for how long."""

    backbone: str
    trainable: str
    size_px: int
    epochs: int
    n_photos: int
    precision: str = "float32"
    weights: str = "none"


# bfloat16 where `precision: auto` chooses it on a processor that has it; depthwise convolutions are slower in it.
# Learned weights take the time of random ones but for batch normalisation, which they freeze.
CASES = (
    Case("efficientnet_lite0", "head", 128, 10, 400, weights="imagenet"),
    Case("efficientnet_lite0", "block5", 128, 10, 400, weights="imagenet"),
    Case("vgg16", "block5", 128, 10, 200, "bfloat16"),
    Case("inception_v3", "head", 299, 20, 300, "bfloat16"),
)


class Photos:
    """JPEG files of two kinds, of noise with a reddish and with a bluish cast."""

    def __init__(self, folder: Path, n_photos: int) -> None:
        random = np.random.default_rng(0)
        self.paths: dict[str, Path] = {}
        for number in range(n_photos):
            pixels = random.integers(0, 200, (218, 178, 3), dtype=np.uint8)
            pixels[..., 2 * (number // 6 % 2)] += 50
            data = _jpeg(pixels)
            image_id = hashlib.sha256(data).hexdigest()
            self.paths[image_id] = folder / f"{image_id}.jpg"
            self.paths[image_id].write_bytes(data)
        position = np.arange(n_photos)
        self.manifest = pd.DataFrame(
            {
                "image_id": list(self.paths),
                "source": "bench",
                "label": np.array(CLASSES)[position // 6 % 2],
                "split": np.where(position % 6 == 0, "validation", "train"),
            }
        )

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (image id, encoded bytes) of the photos wanted."""
        return ((image_id, self.paths[image_id].read_bytes()) for image_id in image_ids)


def run() -> None:
    """Print the seconds of each case, plain and through the engine, and how much faster the engine is."""
    print("training from JPEG files: plain Keras `fit` (tf.data, float32, no XLA) against the engine\n")
    print(f"{'backbone':20}{'trained':9}{'px':>4}{'epochs':>7}{'photos':>7}{'plain':>9}{'val.':>6}", end="")
    print(f"{'engine':>9}{'val.':>6}{'ratio':>7}{'cache full':>12}{'ratio':>7}", flush=True)
    for case in CASES:
        with TemporaryDirectory() as folder:
            photos = Photos(Path(folder), case.n_photos)
            plain, accuracy = _timed(_plain_fit, case, photos)
            cache = FeatureCache(Path(folder) / "features")
            (empty, found), (full, _) = (_timed(_engine, case, photos, cache) for _ in range(2))
        print(
            f"{case.backbone:20}{case.trainable:9}{case.size_px:4}{case.epochs:7}{case.n_photos:7}"
            f"{plain:7.1f} s{accuracy:6.2f}{empty:7.1f} s{found:6.2f}{plain / empty:7.1f}{full:10.1f} s"
            f"{plain / full:7.1f}",
            flush=True,
        )


def _recipe(case: Case, precision: str) -> Recipe:
    return Recipe(
        name="bench",
        backbone=case.backbone,
        weights=case.weights,
        image_size_px=case.size_px,
        trainable=case.trainable,
        optimizer={"learning_rate": 0.0003},
        epochs=case.epochs,
        batch_size=50,
        patience=case.epochs,
        precision=precision,
        seed=0,
    )


def _engine(case: Case, photos: Photos, cache: FeatureCache) -> float:
    recipe = _recipe(case, case.precision)
    _, history = train(recipe, CLASSES, photos.manifest, images=photos, cache=cache)
    return float(history["val_accuracy"].iloc[-1])


def _plain_fit(case: Case, photos: Photos) -> float:
    """Train as Keras' transfer-learning guide does: freeze layers, and `fit` on a pipeline of JPEG files."""
    import keras

    recipe = _recipe(case, "float32")
    keras.utils.set_random_seed(0)
    network = build_network(recipe, len(CLASSES))
    frozen, _ = cut(network, cut_layer(recipe, case.trainable))
    for layer in frozen.layers:
        layer.trainable = False
    # XLA, Keras' default, is slower on the CPU: the baseline gets the better setting.
    network.compile(
        keras.optimizers.Adam(recipe.optimizer.learning_rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    rows = photos.manifest.groupby("split")
    history = network.fit(
        _pipeline(photos, rows.get_group("train"), case.size_px, recipe.batch_size),
        validation_data=_pipeline(photos, rows.get_group("validation"), case.size_px, recipe.batch_size),
        epochs=case.epochs,
        verbose=0,
    )
    return float(history.history["val_accuracy"][-1])


def _pipeline(photos: Photos, rows: pd.DataFrame, size_px: int, batch_size: int) -> Any:
    """Make the tf.data pipeline of the guides: files, shuffled, decoded in parallel, batched, prefetched."""
    import tensorflow as tf

    def decode(path: Any, code: Any) -> tuple[Any, Any]:
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)[20:198]
        return tf.image.resize(pixels, (size_px, size_px)), code

    paths = [str(photos.paths[image_id]) for image_id in rows["image_id"]]
    codes = (rows["label"] == CLASSES[1]).to_numpy().astype(np.int32)
    files = tf.data.Dataset.from_tensor_slices((paths, codes)).shuffle(len(paths), seed=0)
    return files.map(decode, tf.data.AUTOTUNE).batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def _timed(action: Callable[..., float], *arguments: object) -> tuple[float, float]:
    """Return the seconds of a call, and what it returned."""
    start = time.perf_counter()
    result = action(*arguments)
    return time.perf_counter() - start, result
