"""The one engine for all recipes: cut at the deepest frozen layer, compute the frozen prefix once, train the rest."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gender_pipeline.errors import TrainingError, examples
from gender_pipeline.files import text_digest
from gender_pipeline.images.views import distorted_views
from gender_pipeline.recipes import Phase, Recipe, check_recipe
from gender_pipeline.schema import TRAIN, VALIDATION
from gender_pipeline.training.batches import ordered_batches, shuffled_batches
from gender_pipeline.training.devices import out_of_memory_named, prepare_devices, strategy_scope
from gender_pipeline.training.features import CachedFeatures, FeatureCache, ImageSource
from gender_pipeline.training.losses import make_loss, photo_weights
from gender_pipeline.training.network import LOGITS, PIXELS, build_network, cut_layer
from gender_pipeline.training.optimizers import make_optimizer
from gender_pipeline.training.precision import choose_precision
from gender_pipeline.training.progress import HISTORY_COLUMNS, Checkpoint, Progress, recorder, restore
from gender_pipeline.training.trained_model import TrainedModel
from gender_pipeline.zoo import cut, weights_digest

if TYPE_CHECKING:
    import keras

_ENGINE_VERSION: Final = 1  # to be raised when a checkpoint means something else


@dataclass(frozen=True)
class _Photos:
    """What is trained on and what says when to stop: ids, and one-hot targets (n, k) float32."""

    train_ids: list[str]
    train_targets: NDArray[np.float32]
    validation_ids: list[str]
    validation_targets: NDArray[np.float32]
    images: ImageSource
    cache: FeatureCache


def train(
    recipe: Recipe,
    class_names: Sequence[str],
    split_manifest: pd.DataFrame,
    *,
    images: ImageSource,
    cache: FeatureCache,
    checkpoints: Path | None = None,
    devices: Sequence[str] = (),
) -> tuple[TrainedModel, pd.DataFrame]:
    """Train a model; the same recipe, photos and machine give the same weights, bit for bit, on the CPU.

    Args:
        recipe: What to train, and how.
        class_names: The k >= 2 classes in the order of the network's output; of two the last is class 1.
        split_manifest: Columns `image_id`, `source`, `label` and `split`. `train` rows are learned from, `validation`
            rows say when to stop, the photos of all others are never touched.
        images: Gives the photos' bytes.
        cache: Keeps the outputs of the frozen layers.
        checkpoints: Folder that keeps the progress of a training until it ends, so that one that was killed goes on;
            None keeps nothing. A training that went on gives the weights of one that was never killed.
        devices: Names such as `GPU:0`; empty for all GPUs there are, or the processor.

    Returns:
        The model with the weights of the last phase's epoch of the lowest validation loss, and the history, one row an
        epoch with the columns `HISTORY_COLUMNS` (losses are those of the recipe, accuracies in [0, 1]).

    Raises:
        SettingsError: The recipe contradicts itself or the zoo.
        TrainingError: A class without train photos, no validation photo, an unknown label, a photo without bytes, a
            loss that is not finite, too little memory, or no such device.
    """
    check_recipe(recipe)
    photos = _photos(recipe_rows(split_manifest, recipe), class_names, images, cache)
    prepare_devices(recipe.seed)
    with strategy_scope(devices):
        recipe = choose_precision(recipe)
        # Again, for to choose has drawn random numbers.
        prepare_devices(recipe.seed)
        network = build_network(recipe, len(class_names))
        checkpoint = _checkpoint(checkpoints, recipe, class_names, photos)
        progress = checkpoint.load()
        for number, phase in enumerate(recipe.all_phases()):
            if number >= progress.phase:
                _train_phase(network, recipe, phase, photos, progress=progress, checkpoint=checkpoint)
    checkpoint.clear()
    layer = cut_layer(recipe, recipe.trainable)
    history = pd.DataFrame(progress.history, columns=list(HISTORY_COLUMNS))
    return TrainedModel(network, recipe, tuple(class_names), layer, weights_digest(network)), history


def recipe_rows(split_manifest: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Return the rows of the recipe's data sets.

    Raises:
        TrainingError: A data set of the recipe is not in the manifest.
    """
    if not recipe.sources:
        return split_manifest
    there = set(split_manifest["source"])
    if missing := [source for source in recipe.sources if source not in there]:
        raise TrainingError(
            f"recipe {recipe.name}: no photos of {', '.join(missing)}",
            expected=f"sources of {examples(sorted(there))}",
            remedy="correct the recipe's `sources`, or ingest that data set (conf/*/parameters/manifest.yml)",
        )
    return split_manifest[split_manifest["source"].isin(recipe.sources)]


def _photos(rows: pd.DataFrame, class_names: Sequence[str], images: ImageSource, cache: FeatureCache) -> _Photos:
    """Gather ids and one-hot targets, after a check that there is something to learn and to validate."""
    rows = rows[rows["split"].isin([TRAIN, VALIDATION])]
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
    ids, targets = rows["image_id"].to_numpy(object), np.eye(len(class_names), dtype=np.float32)[codes]
    return _Photos(
        ids[is_train].tolist(), targets[is_train], ids[~is_train].tolist(), targets[~is_train], images, cache
    )


def _checkpoint(folder: Path | None, recipe: Recipe, class_names: Sequence[str], photos: _Photos) -> Checkpoint:
    """Name the checkpoint by all that the weights hang on, so that no other training goes on from it."""
    facts = [
        _ENGINE_VERSION,
        recipe.model_dump(mode="json"),
        list(class_names),
        photos.train_ids,
        photos.train_targets.argmax(axis=1).tolist(),
        photos.validation_ids,
        photos.validation_targets.argmax(axis=1).tolist(),
    ]
    key = text_digest(json.dumps(facts))
    return Checkpoint(folder / f"{recipe.name}-{key[:16]}.safetensors" if folder else None, key)


def _train_phase(
    network: "keras.Model",
    recipe: Recipe,
    phase: Phase,
    photos: _Photos,
    *,
    progress: Progress,
    checkpoint: Checkpoint,
) -> None:
    """Train the part after the phase's cut, and leave it with the weights of its best epoch."""
    import keras

    layer = cut_layer(recipe, phase.trainable)
    prefix, suffix = cut(cut(network, LOGITS)[0], layer)
    train_features, validation_features = _features(prefix, recipe, photos, from_pixels=layer == PIXELS)
    train_batches = shuffled_batches(
        recipe,
        train_features,
        photos.train_targets,
        photo_weights(recipe.loss, photos.train_targets),
        seed=(recipe.seed, progress.phase),
        from_pixels=layer == PIXELS,
    )
    _compile(suffix, recipe, phase, steps_an_epoch=len(train_batches))
    restore(suffix, progress)
    with out_of_memory_named(recipe.batch_size):
        suffix.fit(
            train_batches,
            validation_data=ordered_batches(validation_features, photos.validation_targets, recipe.batch_size),
            initial_epoch=progress.epoch,
            epochs=phase.epochs,
            shuffle=False,  # or Keras would change the order of the batches by a global random state
            verbose=0,
            callbacks=[
                keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: train_batches.begin(epoch)),
                recorder(recipe, phase, progress, checkpoint),
            ],
        )
    suffix.set_weights(progress.best)
    progress.begin_phase(progress.phase + 1)


def _features(
    prefix: "keras.Model", recipe: Recipe, photos: _Photos, *, from_pixels: bool
) -> tuple[CachedFeatures, CachedFeatures]:
    """Give the features of the train photos, in all views, and of the validation photos as they are."""
    views = distorted_views(recipe.augmentation, recipe.seed)[: 1 if from_pixels else None]
    compute = partial(
        photos.cache.features,
        prefix,
        recipe.image_size_px,
        images=photos.images,
        framing=recipe.framing,
        dtype=recipe.feature_dtype,
    )
    return compute(image_ids=photos.train_ids, views=views), compute(image_ids=photos.validation_ids)


def _compile(suffix: "keras.Model", recipe: Recipe, phase: Phase, *, steps_an_epoch: int) -> None:
    import keras

    optimizer = make_optimizer(
        recipe.optimizer, phase.learning_rate, steps_an_epoch=steps_an_epoch, epochs=phase.epochs
    )
    if recipe.precision == "float16":
        # Small gradients would be lost in float16; the other precisions have float32's range.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    suffix.compile(
        optimizer=optimizer,
        loss=make_loss(recipe.loss, recipe.head.output),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
        # XLA, Keras' default, is 17 times slower for EfficientNet-Lite0 on the processor.
        jit_compile=keras.backend.backend() != "tensorflow",
    )
