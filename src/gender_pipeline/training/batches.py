"""The batches of one split: what is drawn in an epoch hangs on the seed and the epoch alone, so that it can resume."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.images.views import distort
from gender_pipeline.recipes import Recipe
from gender_pipeline.training.features import CachedFeatures

if TYPE_CHECKING:
    import keras

Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def ordered_batches(features: CachedFeatures, targets: NDArray[np.float32], batch_size: int) -> "keras.utils.PyDataset":
    """Make batches of all photos in order: features (n, ...) and one-hot targets (n, k), both float32."""
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return math.ceil(len(targets) / batch_size)

        def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            rows = np.arange(index * batch_size, min((index + 1) * batch_size, len(targets)))
            return features.rows(rows), targets[rows]

    return Batches()


def shuffled_batches(
    recipe: Recipe,
    features: CachedFeatures,
    targets: NDArray[np.float32],
    weights: NDArray[np.float32],
    *,
    seed: tuple[int, ...],
    from_pixels: bool,
) -> "keras.utils.PyDataset":
    """Make batches of all photos, in another order and of other views in every epoch.

    Args:
        recipe: Batch size and augmentation.
        features: Of n photos in some views, or their pixels.
        targets: One-hot (n, k) float32.
        weights: What each photo counts, (n,) float32.
        seed: Of the orders, views and distortions, together with the number of the epoch.
        from_pixels: Whether the features are the pixels; those are distorted anew in every epoch.

    Returns:
        Of (features (b, ...), targets (b, k), weights (b,)), float32; the last batch may be smaller. Its method `begin`
        is to be called with the number of each epoch.
    """
    import keras

    augmentation, size, n_photos = recipe.augmentation, recipe.batch_size, len(targets)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self) -> None:
            # With threads the processor decodes and distorts the next batches while the device takes a step.
            super().__init__(workers=2 if from_pixels else 1, max_queue_size=8)
            self.begin(0)

        def __len__(self) -> int:
            return math.ceil(n_photos / size)

        def __getitem__(self, index: int) -> Batch:
            rows = self.order[index * size : (index + 1) * size]
            if from_pixels:
                random = np.random.default_rng((*seed, self.epoch, index))
                pixels = distort(features.rows(rows).astype(np.uint8), augmentation, random)
                return pixels.astype(np.float32), targets[rows], weights[rows]
            return features.rows(rows, self.views[rows]), targets[rows], weights[rows]

        def begin(self, epoch: int) -> None:
            """Draw order and views of an epoch; Keras' own hooks come at moments that hang on the number of threads."""
            self.epoch = epoch
            random = np.random.default_rng((*seed, epoch))
            self.order = random.permutation(n_photos)
            self.views = random.integers(0, features.n_views, n_photos)

    return Batches()
