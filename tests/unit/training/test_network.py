"""The network of a recipe: heads, precision, and what it gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gender_pipeline.errors import SettingsError
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, TrainedModel, precision, predict_photos, train
from gender_pipeline.training.network import LOGITS, build_network
from gender_pipeline.training.precision import choose_precision
from gender_pipeline.zoo import cut

CLASSES = ("female", "male")
PIXELS = np.random.default_rng(0).uniform(0, 255, (5, 32, 32, 3)).astype(np.float32)
HEADS = [
    {"output": "softmax"},
    {"output": "sigmoid"},
    {"output": "sigmoids"},
    {"output": "sigmoids", "hidden_units": [16, 16], "batch_norm": True, "dropout": 0.5, "pooling": "flatten"},
]


def changed(recipe: Recipe, **fields: Any) -> Recipe:
    return Recipe(**{**recipe.model_dump(), **fields})


@pytest.mark.parametrize("head", HEADS, ids=lambda head: "+".join(map(str, head.values())))
def test_every_head_gives_probabilities_that_sum_to_one_also_for_extreme_pixels(recipe: Recipe, head: Any) -> None:
    network = build_network(changed(recipe, head=head), 2)
    for pixels in (PIXELS, PIXELS * 1e4, PIXELS * 0):
        found = np.asarray(network(pixels))
        assert found.dtype == np.float32
        assert ((found >= 0) & (found <= 1)).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_one_sigmoid_gives_the_probability_of_the_last_class(recipe: Recipe) -> None:
    network = build_network(changed(recipe, head={"output": "sigmoid"}), 2)
    logit = np.asarray(cut(network, LOGITS)[0](PIXELS))
    np.testing.assert_array_equal(logit[:, 0], 0)
    np.testing.assert_allclose(np.asarray(network(PIXELS))[:, 1], 1 / (1 + np.exp(-logit[:, 1])), rtol=1e-5)


def test_sigmoids_are_scaled_to_sum_to_one(recipe: Recipe) -> None:
    network = build_network(changed(recipe, head={"output": "sigmoids"}), 3)
    scores = 1 / (1 + np.exp(-np.asarray(cut(network, LOGITS)[0](PIXELS), np.float64)))
    np.testing.assert_allclose(np.asarray(network(PIXELS)), scores / scores.sum(axis=1, keepdims=True), rtol=1e-4)


def test_one_sigmoid_cannot_tell_three_classes_apart(recipe: Recipe) -> None:
    with pytest.raises(SettingsError, match=r"one sigmoid tells two classes apart; received 3 .* softmax or sigmoids"):
        build_network(changed(recipe, head={"output": "sigmoid"}), 3)


@pytest.mark.parametrize(("head", "name"), list(zip(HEADS, ["float16", "float32", "bfloat16", "float32"], strict=True)))
def test_every_head_and_every_precision_learns_is_saved_and_answers_the_same(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, tmp_path: Path, head: Any, name: str
) -> None:
    recipe = changed(
        recipe,
        head={**head, "dropout": 0.0},
        precision=name,
        feature_dtype="bfloat16" if name == "bfloat16" else "float16",
        trainable="block1",
        optimizer={"name": "adam", "learning_rate": 0.02},
        epochs=12,
        patience=12,
    )
    cache = FeatureCache(tmp_path / "features")
    model, history = train(recipe, CLASSES, split_manifest, images=album, cache=cache)
    assert history["val_accuracy"].max() == 1.0
    model.save(tmp_path / "model")
    loaded = TrainedModel.load(tmp_path / "model")
    assert loaded.recipe.precision == name
    before, after = (predict_photos(m, album.ids, album, cache) for m in (model, loaded))
    np.testing.assert_array_equal(before, after)


def test_half_precision_computes_the_backbone_in_it_and_keeps_weights_and_head_in_float32(recipe: Recipe) -> None:
    network = build_network(changed(recipe, precision="bfloat16"), 2)
    assert network.get_layer("block1_conv").compute_dtype == "bfloat16"
    assert network.get_layer(LOGITS).compute_dtype == "float32"
    assert {str(weight.dtype) for weight in network.weights} == {"float32"}


@pytest.mark.parametrize(("half", "chosen"), [(1.0, "bfloat16"), (1.9, "float32"), (3.0, "float32")])
def test_auto_takes_half_precision_only_where_it_is_clearly_faster(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, half: float, chosen: str
) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda _, name: {"float32": 2.0, "bfloat16": half}[name])
    assert choose_precision(changed(recipe, precision="auto")).precision == chosen


@pytest.mark.parametrize("trainable", ["head", "all"])
def test_auto_is_measured_and_what_was_chosen_stands_in_the_models_recipe(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, tmp_path: Path, trainable: str
) -> None:
    recipe = changed(recipe, precision="auto", trainable=trainable, epochs=1)
    model, _ = train(recipe, CLASSES, split_manifest, images=album, cache=FeatureCache(tmp_path))
    assert model.recipe.precision in {"float32", "bfloat16"}
    assert model.recipe == changed(recipe, precision=model.recipe.precision)


def test_the_whole_photo_is_seen_where_the_recipe_says_so(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, tmp_path: Path
) -> None:
    cache = FeatureCache(tmp_path)
    square, whole = (
        train(changed(recipe, framing=framing, epochs=1), CLASSES, split_manifest, images=album, cache=cache)[1]
        for framing in ("square", "whole")
    )
    assert len(list(tmp_path.iterdir())) == 2
    pd.testing.assert_frame_equal(square, whole)  # the photos are square
