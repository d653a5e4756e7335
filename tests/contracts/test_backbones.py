"""What every backbone of the zoo keeps to; a new one needs no test but its parity."""

from typing import Any

import numpy as np
import pytest

from gender_pipeline.recipes import ALL, HEAD
from gender_pipeline.zoo import SPECS, BackboneSpec, build_backbone, cut, weights_digest

# One of each kind; the others take a minute and a half, and CI runs them.
BY_DEFAULT = ("efficientnet_lite0", "mobilenet_v2", "vgg_face")
PARAMS = [
    pytest.param(spec, id=name, marks=[] if name in BY_DEFAULT else pytest.mark.long) for name, spec in SPECS.items()
]


def random_pixels(spec: BackboneSpec) -> np.ndarray:
    """Give two random images of the least size that leaves the last map more than one point."""
    size_px = max(64, spec.min_image_size_px)
    return np.random.default_rng(5).integers(0, 256, (2, size_px, size_px, 3)).astype(np.float32)


@pytest.fixture(scope="module", params=PARAMS)
def spec(request: pytest.FixtureRequest) -> BackboneSpec:
    return request.param


@pytest.fixture(scope="module")
def pixels(spec: BackboneSpec) -> np.ndarray:
    return random_pixels(spec)


@pytest.fixture(scope="module")
def network(spec: BackboneSpec, pixels: np.ndarray) -> Any:
    return build_backbone(spec, pixels.shape[1], "none")


@pytest.fixture(scope="module")
def flattened(spec: BackboneSpec, pixels: np.ndarray) -> Any:
    return build_backbone(spec, pixels.shape[1], "none", pooling="flatten")


def test_a_spec_stands_under_its_name_and_says_licence_and_citation(spec: BackboneSpec) -> None:
    assert SPECS[spec.name] is spec
    assert spec.licence
    assert spec.citation


def test_block_names_are_no_other_words_of_a_recipe_and_end_with_pooled(spec: BackboneSpec) -> None:
    assert not {HEAD, ALL} & set(spec.block_names)
    assert spec.block_names[-1] == spec.layer_of("pooled") == "pooled"


def test_raw_pixels_go_in_and_finite_features_come_out(spec: BackboneSpec, pixels: Any, network: Any) -> None:
    import keras

    features = keras.ops.convert_to_numpy(network(pixels))
    assert network.name == spec.name
    assert network.input_shape == (None, *pixels.shape[1:])
    assert features.shape == (2, network.output_shape[1])
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.ptp(features, axis=0).max() > 0  # other photos have other features


def test_the_graph_is_flat_and_ends_with_pooled(network: Any) -> None:
    import keras

    assert not any(isinstance(layer, keras.Model | keras.layers.Lambda) for layer in network.layers)
    assert network.layers[-1].name == "pooled"


def test_pixels_are_scaled_inside_as_the_spec_says(spec: BackboneSpec, pixels: Any, network: Any) -> None:
    scaled = np.asarray(cut(network, "scale")[0](pixels))
    np.testing.assert_allclose(scaled, pixels * spec.pixel_scale + spec.pixel_offset, atol=1e-4)


def test_the_network_can_be_cut_at_every_block_shallow_to_deep(spec: BackboneSpec, pixels: Any, network: Any) -> None:
    values, rest = pixels, network
    for block in spec.block_names:
        prefix, rest = cut(rest, spec.layer_of(block))
        values = np.asarray(prefix(values))
    np.testing.assert_allclose(np.asarray(rest(values)), np.asarray(network(pixels)), rtol=1e-5, atol=1e-6)


def test_the_suffix_of_a_cut_in_the_middle_has_the_answers_of_the_network(
    spec: BackboneSpec, pixels: Any, network: Any
) -> None:
    prefix, suffix = cut(network, spec.layer_of(spec.block_names[len(spec.block_names) // 2]))
    np.testing.assert_allclose(np.asarray(suffix(prefix(pixels))), np.asarray(network(pixels)), rtol=1e-5, atol=1e-6)


def test_flattened_features_are_those_of_the_last_map(spec: BackboneSpec, network: Any, flattened: Any) -> None:
    *_, height, width, channels = cut(network, spec.layer_of(spec.block_names[-2]))[0].output_shape
    assert flattened.output_shape == (None, height * width * channels)
    assert flattened.layers[-1].name == "pooled"


def test_two_builds_have_the_same_names_and_other_random_weights(network: Any, flattened: Any) -> None:
    import keras

    poolings = (keras.layers.Flatten, keras.layers.GlobalAveragePooling2D)
    names = [[x.name for x in n.operations if not isinstance(x, poolings)] for n in (network, flattened)]
    assert names[0] == names[1]
    # Weights that were trained or converted with one pooling fit the other.
    assert [(w.path, w.shape) for w in network.weights] == [(w.path, w.shape) for w in flattened.weights]
    assert weights_digest(network) != weights_digest(flattened)


def test_saved_and_loaded_in_safe_mode_it_predicts_the_same(pixels: Any, network: Any, tmp_path: Any) -> None:
    import keras

    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    assert weights_digest(loaded) == weights_digest(network)
    np.testing.assert_array_equal(np.asarray(loaded(pixels)), np.asarray(network(pixels)))


def test_a_step_of_training_changes_the_weights_down_to_the_first(pixels: Any, flattened: Any) -> None:
    import keras

    old = [np.array(weight) for weight in flattened.trainable_weights]
    # Not compiled to a graph: that takes far longer than the one step. Lion moves a weight however small its gradient.
    flattened.compile(keras.optimizers.Lion(0.01), "mse", run_eagerly=True)
    loss = flattened.train_on_batch(pixels, np.random.default_rng(6).normal(size=(2, flattened.output_shape[1])))
    changed = [not np.array_equal(a, b) for a, b in zip(old, flattened.trainable_weights, strict=True)]
    assert np.isfinite(loss)
    assert changed[0]
    assert np.mean(changed) > 0.7  # stochastic depth may leave out whole units
