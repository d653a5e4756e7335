"""Tiny trained models that can be exported, for tests of the export."""

from pathlib import Path
from typing import Any

import pytest

from gender_pipeline.recipes import Recipe
from gender_pipeline.training import TrainedModel
from gender_pipeline.training import network as training_network
from gender_pipeline.zoo import weights_digest
from photo_experiments import RECIPE


def tiny_trained(patch: pytest.MonkeyPatch, n_classes: int = 2, **recipe: Any) -> TrainedModel:
    """Return a model of a real head on a small backbone, with answers that hang on the photo."""
    import keras

    def build(*_: Any, pooling: str) -> keras.Model:
        pixels = keras.Input((32, 32, 3), name="pixels")
        x = keras.layers.Rescaling(1 / 127.5, -1.0)(pixels)
        x = keras.layers.Conv2D(8, 3, strides=2)(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.DepthwiseConv2D(3, strides=2, activation="relu6")(x)
        last = keras.layers.Flatten if pooling == "flatten" else keras.layers.GlobalAveragePooling2D
        return keras.Model(pixels, last(name="pooled")(x))

    patch.setattr(training_network, "build_backbone", build)
    keras.utils.set_random_seed(3)
    made = Recipe.model_validate({**RECIPE.model_dump(), **recipe})
    network = training_network.build_network(made, n_classes)
    for layer in network.layers:
        if layer.name in ("logit", "logits") and layer.weights:
            layer.set_weights([30 * layer.get_weights()[0], layer.get_weights()[1]])
    classes = ("female", "male", "other")[:n_classes]
    return TrainedModel(network, made, classes, "pooled", weights_digest(network))


def saved(model: TrainedModel, folder: Path) -> Path:
    """Write a model; give its folder."""
    model.save(folder)
    return folder
