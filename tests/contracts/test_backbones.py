"""What every backbone of the zoo keeps to; a new one needs no test but its parity."""

import re
from typing import Any

import numpy as np
import pytest

from gender_pipeline.files import file_digest
from gender_pipeline.zoo import SPECS, BackboneSpec, build_backbone, cut, weights_digest

SIZE_PX = 64
PIXELS = np.random.default_rng(5).integers(0, 256, (3, SIZE_PX, SIZE_PX, 3)).astype(np.float32)


@pytest.fixture(scope="module", params=SPECS.values(), ids=SPECS)
def spec(request: pytest.FixtureRequest) -> BackboneSpec:
    return request.param


@pytest.fixture(scope="module")
def network(spec: BackboneSpec) -> Any:
    return build_backbone(spec, SIZE_PX, "imagenet")


def test_a_spec_stands_under_its_name_and_says_licence_and_citation(spec: BackboneSpec) -> None:
    assert SPECS[spec.name] is spec
    assert spec.licence
    assert spec.citation


def test_the_weights_file_has_the_digest_of_the_spec(spec: BackboneSpec) -> None:
    assert re.fullmatch("[0-9a-f]{64}", spec.weights_sha256)
    assert file_digest(spec.weights_file()) == spec.weights_sha256


def test_raw_pixels_go_in_and_features_come_out(network: Any) -> None:
    features = network.predict_on_batch(PIXELS)
    assert network.input_shape == (None, SIZE_PX, SIZE_PX, 3)
    assert features.shape == (3, *network.output_shape[1:])
    assert features.ndim == 2
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.ptp(features, axis=0).max() > 0.1  # other photos have other features


def test_pixels_are_scaled_inside_as_the_spec_says(spec: BackboneSpec, network: Any) -> None:
    scaled = np.asarray(cut(network, "scale")[0](PIXELS))
    np.testing.assert_allclose(scaled, PIXELS * spec.pixel_scale + spec.pixel_offset, atol=1e-6)


def test_the_network_can_be_cut_at_every_block_shallow_to_deep(spec: BackboneSpec, network: Any) -> None:
    values, features = PIXELS, np.asarray(network(PIXELS))
    rest = network
    for block in spec.block_names:
        prefix, rest = cut(rest, block)
        values = np.asarray(prefix(values))
        np.testing.assert_allclose(np.asarray(rest(values)), features, atol=1e-5)
    np.testing.assert_allclose(values, features, atol=1e-5)


def test_the_same_weights_serve_another_image_size(spec: BackboneSpec, network: Any) -> None:
    other = build_backbone(spec, SIZE_PX + 17, "imagenet")
    assert other.output_shape == network.output_shape
    assert all(np.array_equal(a, b) for a, b in zip(other.weights, network.weights, strict=True))


def test_imagenet_weights_are_the_same_each_time_and_random_ones_are_others(spec: BackboneSpec, network: Any) -> None:
    assert weights_digest(build_backbone(spec, SIZE_PX, "imagenet")) == weights_digest(network)
    assert weights_digest(build_backbone(spec, SIZE_PX, "none")) != weights_digest(network)


def test_the_digest_survives_a_file(network: Any, tmp_path: Any) -> None:
    import keras

    network.save(tmp_path / "network.keras")
    assert weights_digest(keras.saving.load_model(tmp_path / "network.keras")) == weights_digest(network)


def test_training_from_the_last_third_on_changes_the_network(spec: BackboneSpec) -> None:
    network = build_backbone(spec, SIZE_PX, "imagenet")
    old = network.predict_on_batch(PIXELS)
    prefix, suffix = cut(network, spec.block_names[-4])
    suffix.compile("sgd", "mse")
    suffix.train_on_batch(prefix.predict_on_batch(PIXELS), np.ones_like(old))
    assert np.abs(np.asarray(network(PIXELS)) - old).max() > 1e-4
