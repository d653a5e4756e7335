"""The one engine for all recipes: cut at the deepest frozen layer, compute the frozen prefix once, train the rest."""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gender_pipeline.errors import TrainingError, examples
from gender_pipeline.recipes import ALL, HEAD, Optimizer, Recipe, check_recipe
from gender_pipeline.schema import TRAIN, VALIDATION
from gender_pipeline.training.features import CachedFeatures, FeatureCache, ImageSource
from gender_pipeline.training.trained_model import TrainedModel
from gender_pipeline.zoo import build_backbone, cut, get_spec, weights_digest

if TYPE_CHECKING:
    import keras

HISTORY_COLUMNS: Final = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
_log = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    class_names: Sequence[str],
    split_manifest: pd.DataFrame,
    *,
    images: ImageSource,
    cache: FeatureCache,
) -> tuple[TrainedModel, pd.DataFrame]:
    """Train a model; the same recipe, photos and machine give the same weights, bit for bit, on the CPU.

    Args:
        recipe: What to train, and how.
        class_names: The k >= 2 classes in the order of the network's output; of two the last is class 1.
        split_manifest: Columns `image_id`, `label` and `split`. `train` rows are learned from, `validation` rows say
            when to stop, the photos of all others are never touched.
        images: Gives the photos' bytes.
        cache: Keeps the outputs of the frozen layers.

    Returns:
        The model with the weights of the epoch of the lowest validation loss, and the history, one row an epoch with
        the columns `HISTORY_COLUMNS` (losses are those of the recipe, accuracies in [0, 1]).

    Raises:
        SettingsError: The recipe contradicts itself or the zoo.
        TrainingError: A class without train photos, no validation photo, an unknown label, a photo without bytes, or
            a loss that is not finite.
    """
    check_recipe(recipe)
    rows = split_manifest[split_manifest["split"].isin([TRAIN, VALIDATION])]
    targets = _targets(rows, class_names)
    _make_deterministic(recipe.seed)
    network, layer = build_network(recipe, len(class_names)), cut_layer(recipe)
    prefix, suffix = cut(network, layer)
    features = cache.features(prefix, recipe.image_size_px, rows["image_id"].tolist(), images)
    history = _fit(suffix, recipe, features, targets, is_train=(rows["split"] == TRAIN).to_numpy())
    return TrainedModel(network, recipe, tuple(class_names), layer, weights_digest(network)), history


def cut_layer(recipe: Recipe) -> str:
    """Name the deepest frozen layer of a recipe's network; `pixels`, the input, where nothing is frozen."""
    blocks = get_spec(recipe.backbone).block_names
    if recipe.trainable == HEAD:
        return blocks[-1]
    first_trained = 0 if recipe.trainable == ALL else blocks.index(recipe.trainable)
    return blocks[first_trained - 1] if first_trained else "pixels"


def build_network(recipe: Recipe, n_classes: int) -> "keras.Model":
    """Build backbone and head.

    Batch normalisation that has learned its statistics from ImageNet keeps them, also where its block is trained:
    small batches of a small data set would replace them by worse ones (https://keras.io/guides/transfer_learning).

    Returns:
        From raw pixels (N, S, S, 3) float32 in [0, 255] to probabilities (N, n_classes) float32.
    """
    import keras

    backbone = build_backbone(get_spec(recipe.backbone), recipe.image_size_px, recipe.weights)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = recipe.weights == "none"
    x = backbone.output
    for number, units in enumerate(recipe.head.hidden_units, 1):
        x = keras.layers.Dropout(recipe.head.dropout, name=f"hidden{number}_dropout")(x)
        x = keras.layers.Dense(units, "relu", name=f"hidden{number}")(x)
    x = keras.layers.Dropout(recipe.head.dropout, name="dropout")(x)
    x = keras.layers.Dense(n_classes, "softmax", name="probabilities")(x)
    return keras.Model(backbone.input, x, name=recipe.name)


def _targets(rows: pd.DataFrame, class_names: Sequence[str]) -> NDArray[np.float32]:
    """Return one-hot targets (N, k), after a check that there is something to learn and to validate."""
    codes = pd.Categorical(rows["label"], categories=list(class_names)).codes
    unknown = rows["label"][codes < 0].unique()
    if len(unknown):
        raise TrainingError("photos of unknown classes", expected=examples(class_names), received=examples(unknown))
    is_train = (rows["split"] == TRAIN).to_numpy()
    absent = set(range(len(class_names))) - set(codes[is_train].tolist())
    if len(class_names) < 2 or absent or is_train.all():
        counts = Counter(rows["split"] + " " + rows["label"])
        raise TrainingError(
            "there is not enough to train on",
            expected=f"train photos of at least two classes, each of {examples(class_names)}, and validation photos",
            received=", ".join(f"{n} {kind}" for kind, n in counts.items()) or "no photo",
            remedy="check `classes` and the validation and splitting reports",
        )
    targets: NDArray[np.float32] = np.eye(len(class_names), dtype=np.float32)[codes]
    return targets


def _make_deterministic(seed: int) -> None:
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _fit(
    suffix: "keras.Model",
    recipe: Recipe,
    features: CachedFeatures,
    targets: NDArray[np.float32],
    *,
    is_train: NDArray[np.bool_],
) -> pd.DataFrame:
    """Train the part after the cut, leave it with its best weights, and return the history."""
    import keras

    suffix.compile(
        optimizer=_optimizer(recipe.optimizer),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.loss.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    history: list[dict[str, float]] = []
    suffix.fit(
        _batches(features, targets, np.flatnonzero(is_train), recipe, shuffle=True),
        validation_data=_batches(features, targets, np.flatnonzero(~is_train), recipe, shuffle=False),
        epochs=recipe.epochs,
        verbose=0,
        callbacks=[
            _recorder(history, recipe),
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=recipe.patience, restore_best_weights=True),
        ],
    )
    return pd.DataFrame(history, columns=list(HISTORY_COLUMNS))


def _optimizer(settings: Optimizer) -> Any:
    import keras

    if settings.name == "sgd":
        return keras.optimizers.SGD(settings.learning_rate, settings.momentum)
    return keras.optimizers.Adam(settings.learning_rate)


def _recorder(history: list[dict[str, float]], recipe: Recipe) -> "keras.callbacks.Callback":
    """Make the callback that adds a row an epoch to the history, and stops at a loss that is not finite."""
    import keras

    def record(epoch: int, logs: dict[str, float]) -> None:
        if not (math.isfinite(logs["loss"]) and math.isfinite(logs["val_loss"])):
            raise TrainingError(
                f"recipe {recipe.name}: the loss is not finite in epoch {epoch + 1}",
                received=f"loss {logs['loss']}, learning_rate {recipe.optimizer.learning_rate}",
                remedy="lower the learning rate",
            )
        # No seconds: the history is the same for the same training, as every other file of a chapter.
        history.append({**logs, "epoch": epoch + 1, "learning_rate": recipe.optimizer.learning_rate})
        _log.info("epoch %d of %d: %s", epoch + 1, recipe.epochs, ", ".join(f"{k} {v:.4f}" for k, v in logs.items()))

    return keras.callbacks.LambdaCallback(on_epoch_end=record)


def _batches(
    features: CachedFeatures,
    targets: NDArray[np.float32],
    positions: NDArray[np.int64],
    recipe: Recipe,
    *,
    shuffle: bool,
) -> "keras.utils.PyDataset":
    """Make the batches of some photos: features (n, ...) and one-hot targets (n, k), both float32."""
    import keras

    size = recipe.batch_size
    random = np.random.default_rng(recipe.seed)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.order = positions
            self.on_epoch_end()

        def __len__(self) -> int:
            return math.ceil(len(positions) / size)

        def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            batch = self.order[index * size : (index + 1) * size]
            return features.rows(batch), targets[batch]

        def on_epoch_end(self) -> None:
            self.order = random.permutation(positions) if shuffle else positions

    return Batches()
