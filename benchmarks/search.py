"""A search over three learning rates against one training, both from an empty cache: the prefix is computed once.

What a further trial costs (building, tracing, its epochs) does not hang on the frozen part, so that the ratio falls
towards 1 as the photos or the network grow.
"""

import hashlib
import io
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from PIL import Image

from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, TrainedModel, train
from gender_pipeline.training.search import SearchSettings, search

Trainer = Callable[[Recipe], tuple[TrainedModel, pd.DataFrame]]

CLASSES = ("female", "male")
# That of celeba_inception_v3.yml with random weights, which take as long, and with what `auto` chooses for it here.
RECIPE = Recipe(
    name="bench",
    backbone="inception_v3",
    weights="none",
    image_size_px=299,
    head={"hidden_units": (512,), "dropout": 0.5, "output": "sigmoid"},
    optimizer={"learning_rate": 0.001},
    epochs=20,
    batch_size=200,
    patience=20,
    precision="bfloat16",
    seed=0,
)
N_PHOTOS = (1200,)
SETTINGS = SearchSettings(space={"optimizer.learning_rate": (0.01, 0.001, 0.0001)})


class RandomPhotos:
    """JPEGs of noise in memory: the time of a network does not hang on what a photo shows."""

    def __init__(self, n_photos: int) -> None:
        random = np.random.default_rng(0)
        photos = [_jpeg(random.integers(0, 256, (109, 89, 3), dtype=np.uint8)) for _ in range(n_photos)]
        self.photos = {hashlib.sha256(photo).hexdigest(): photo for photo in photos}

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield (image id, encoded bytes) of the photos wanted."""
        return ((image_id, self.photos[image_id]) for image_id in image_ids)

    def split_manifest(self) -> pd.DataFrame:
        """Return the photos as rows of two classes, a sixth of them for validation."""
        position = np.arange(len(self.photos))
        split = np.where(position % 6 == 0, "validation", "train")
        labels = np.array(CLASSES)[position // 6 % 2]
        return pd.DataFrame({"image_id": list(self.photos), "source": "noise", "label": labels, "split": split})


def run() -> None:
    """Train once, search, and print seconds and their ratio."""
    print(f"{RECIPE.backbone}, {RECIPE.image_size_px} px, head only, {RECIPE.epochs} epochs, from an empty cache\n")
    # The first training of a process also loads TensorFlow's kernels, which is no part of either.
    _from_empty_cache(RandomPhotos(100), lambda trainer: trainer(RECIPE))
    print(f"{'photos':>7}{'one training':>14}{'search of 3':>13}{'ratio':>7}")
    for n_photos in N_PHOTOS:
        photos = RandomPhotos(n_photos)
        one = _from_empty_cache(photos, lambda trainer: trainer(RECIPE))
        three = _from_empty_cache(photos, lambda trainer: deque(search(RECIPE, SETTINGS, trainer), maxlen=1))
        print(f"{n_photos:7}{one:12.1f} s{three:11.1f} s{three / one:7.2f}")


def _from_empty_cache(photos: RandomPhotos, action: Callable[[Trainer], object]) -> float:
    """Return the seconds that something takes which trains on these photos."""
    with TemporaryDirectory() as folder:
        trainer = partial(
            train,
            class_names=CLASSES,
            split_manifest=photos.split_manifest(),
            images=photos,
            cache=FeatureCache(Path(folder)),
        )
        start = time.perf_counter()
        action(trainer)
        return time.perf_counter() - start


def _jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()
