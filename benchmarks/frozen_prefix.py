"""Training with the frozen prefix computed once, against plain Keras `fit` that computes it in every epoch."""

import hashlib
import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from gender_pipeline.images.decode import decode_rgb
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, train
from gender_pipeline.training.engine import build_network, cut, cut_layer

N_PHOTOS, EPOCHS, SIZE_PX = 600, 10, 128
CLASSES = ("female", "male")


class RandomPhotos:
    """JPEGs of noise in memory: the time of a network does not hang on what a photo shows."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        photos = [_jpeg(random.integers(0, 256, (109, 89, 3), dtype=np.uint8)) for _ in range(N_PHOTOS)]
        self.photos = {hashlib.sha256(photo).hexdigest(): photo for photo in photos}

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (image id, encoded bytes) of the photos wanted."""
        return ((image_id, self.photos[image_id]) for image_id in image_ids)


def run() -> None:
    """Train the head, then the last block, and print seconds and how much faster the cache is."""
    photos = RandomPhotos()
    print(f"EfficientNet-Lite0, {N_PHOTOS} random photos at {SIZE_PX} px, {EPOCHS} epochs, decoding included\n")
    print(f"{'trained':10}{'plain fit':>11}{'cache empty':>13}{'ratio':>7}{'cache full':>12}{'ratio':>7}")
    for trainable in ("head", "block7"):
        plain, empty, full = _measure(_recipe(trainable), photos)
        print(f"{trainable:10}{plain:9.1f} s{empty:11.1f} s{plain / empty:7.1f}{full:10.1f} s{plain / full:7.1f}")


def _measure(recipe: Recipe, photos: RandomPhotos) -> tuple[float, float, float]:
    """Return the seconds of plain `fit`, and of the engine with an empty and with a full cache."""
    # The baseline comes first, because the engine makes TensorFlow's operations deterministic, which may cost time.
    plain = _seconds(lambda: _plain_fit(recipe, photos))
    with TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder))
        empty, full = (_seconds(lambda: _cached_fit(recipe, photos, cache)) for _ in range(2))
    return plain, empty, full


def _recipe(trainable: str) -> Recipe:
    return Recipe(
        name="bench",
        backbone="efficientnet_lite0",
        image_size_px=SIZE_PX,
        trainable=trainable,
        optimizer={"learning_rate": 0.001},
        epochs=EPOCHS,
        batch_size=50,
        patience=EPOCHS,
        seed=0,
    )


def _manifest(photos: RandomPhotos) -> pd.DataFrame:
    position = np.arange(N_PHOTOS)
    split = np.where(position % 6 == 0, "validation", "train")
    return pd.DataFrame(
        {"image_id": list(photos.photos), "label": np.array(CLASSES)[position // 6 % 2], "split": split}
    )


def _cached_fit(recipe: Recipe, photos: RandomPhotos, cache: FeatureCache) -> None:
    train(recipe, CLASSES, _manifest(photos), images=photos, cache=cache)


def _plain_fit(recipe: Recipe, photos: RandomPhotos) -> None:
    import keras

    manifest = _manifest(photos)
    network = build_network(recipe, len(CLASSES))
    frozen, _ = cut(network, cut_layer(recipe))
    for layer in frozen.layers:
        layer.trainable = False
    pixels = np.stack([decode_rgb(data, SIZE_PX) for data in photos.photos.values()]).astype(np.float32)
    codes = (manifest["label"] == CLASSES[1]).to_numpy().astype(np.int32)
    learn = (manifest["split"] == "train").to_numpy()
    # XLA, Keras' default, is slower on the CPU: the baseline gets the better setting.
    network.compile(
        keras.optimizers.Adam(recipe.optimizer.learning_rate), "sparse_categorical_crossentropy", jit_compile=False
    )
    network.fit(
        pixels[learn],
        codes[learn],
        validation_data=(pixels[~learn], codes[~learn]),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        verbose=0,
    )


def _jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
