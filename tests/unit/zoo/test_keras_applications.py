"""The networks of keras.applications, flattened and scaled inside, are those of Keras with its own preprocessing."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import SPECS, BackboneSpec, build_backbone
from gender_pipeline.zoo.build import scaled_pixels
from gender_pipeline.zoo.keras_applications import load_application
from gender_pipeline.zoo.weights_files import KerasWeights

# Two by default; the others take a minute, and CI runs them.
PUBLISHED = [
    pytest.param(spec, id=name, marks=[] if name in ("vgg16", "mobilenet_v2") else pytest.mark.long)
    for name, spec in SPECS.items()
    if isinstance(spec.weights, KerasWeights)
]
# Where Keras keeps the preprocessing of each network; the last three are their networks' own first layers.
MODULES = {
    "inception_v3": "inception_v3",
    "vgg16": "vgg16",
    "mobilenet_v2": "mobilenet_v2",
    "resnet50": "resnet50",
    "mobilenet_v3_large": "mobilenet_v3",
    "efficientnetv2_b0": "efficientnet_v2",
    "convnext_tiny": "convnext",
}


@pytest.fixture(params=PUBLISHED)
def spec(request: pytest.FixtureRequest) -> BackboneSpec:
    return request.param


def draw_pixels(size_px: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (2, size_px, size_px, 3)).astype(np.float32)


def original(spec: BackboneSpec, size_px: int) -> Any:
    """Give Keras' own network with random weights, also where they start as 0 or 1."""
    import keras

    network = getattr(keras.applications, spec.weights.application)(
        include_top=False, weights=None, input_shape=(size_px, size_px, 3), pooling="avg"
    )
    random = np.random.default_rng(4)
    for weight in network.weights:
        if "kernel" not in weight.path:
            weight.assign(random.uniform(0.5, 1.0, weight.shape))
    return network


def publish(network: Any, spec: BackboneSpec, home: Path, monkeypatch: Any) -> BackboneSpec:
    """Write a network's weights where Keras would have put those it published, and give a spec that says so."""
    monkeypatch.setenv("KERAS_HOME", str(home))
    file = home / "models" / spec.weights.url.rpartition("/")[2]
    file.parent.mkdir()
    network.save(file)
    digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    return dataclasses.replace(spec, weights=dataclasses.replace(spec.weights, digest=digest))


def test_published_weights_give_the_features_keras_gives_for_the_same_pixels(
    spec: BackboneSpec, tmp_path: Path, monkeypatch: Any
) -> None:
    import keras

    size_px = max(64, spec.min_image_size_px)
    network, pixels = original(spec, size_px), draw_pixels(size_px)
    ours = build_backbone(publish(network, spec, tmp_path, monkeypatch), size_px, "imagenet")
    preprocess = getattr(keras.applications, MODULES[spec.name]).preprocess_input
    expected = np.asarray(network(preprocess(pixels.copy())))
    np.testing.assert_allclose(np.asarray(ours(pixels)), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["inception_v3", "vgg16", "mobilenet_v2", "resnet50"])
def test_pixels_are_scaled_as_keras_scales_them(name: str) -> None:
    import keras

    spec, pixels = SPECS[name], draw_pixels(8)
    scaled = scaled_pixels(spec, 8)
    ours = np.asarray(keras.Model(scaled._keras_history.operation.input, scaled)(pixels))
    expected = getattr(keras.applications, MODULES[name]).preprocess_input(pixels.copy())
    np.testing.assert_allclose(ours[..., ::-1] if spec.color_order == "BGR" else ours, expected, atol=1e-4)


def test_vgg_face_takes_its_mean_face_from_the_pixels_in_bgr() -> None:
    spec = SPECS["vgg_face"]
    assert (spec.color_order, spec.pixel_scale) == ("BGR", 1.0)
    assert spec.pixel_offset == (-129.1863, -104.7624, -93.5940)  # in the order of our pixels: R, G, B


@pytest.mark.parametrize("content", [b"no HDF5 at all", b""])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(content)
    with pytest.raises(ZooError, match=r"weights\.h5 does not hold the weights of VGG16; .*remove it"):
        load_application("VGG16", scaled_pixels(SPECS["vgg16"], 32), tmp_path / "weights.h5")


def test_the_weights_of_another_network_are_refused(tmp_path: Path, monkeypatch: Any) -> None:
    import keras

    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    spec = publish(other, SPECS["vgg16"], tmp_path, monkeypatch)
    with pytest.raises(ZooError, match="does not hold the weights of VGG16"):
        build_backbone(spec, 32, "imagenet")
