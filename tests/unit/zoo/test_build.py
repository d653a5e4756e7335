"""A backbone is built for the sizes it can see, and filled whole or not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import build_backbone, cut, get_spec, weights_digest
from gender_pipeline.zoo.build import fill, read_weights

LITE0 = get_spec("efficientnet_lite0")
VGG_FACE = get_spec("vgg_face")


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return read_weights(LITE0)


@pytest.fixture(scope="module")
def network() -> Any:
    return build_backbone(LITE0, 32, "none")


def fill_lite0(network: Any, tensors: dict[str, np.ndarray]) -> None:
    fill(network, tensors, names=LITE0.weights.torch_name, excepted=LITE0.weights.excepted)


def test_an_unknown_backbone_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(ZooError, match="unknown backbone 'alexnet'; expected one of efficientnet_lite0"):
        get_spec("alexnet")


def test_an_unknown_block_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(ZooError, match="vgg_face has no block 'block6'; expected one of block1, block2"):
        VGG_FACE.layer_of("block6")


@pytest.mark.parametrize(("name", "size_px"), [("efficientnet_lite0", 31), ("vgg_face", 31), ("inception_v3", 74)])
def test_images_too_small_for_the_network_are_refused(name: str, size_px: int) -> None:
    with pytest.raises(ZooError, match=f"{size_px} px images are too small for {name}; expected >= {size_px + 1} px"):
        build_backbone(get_spec(name), size_px, "none")


@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"])
def test_imagenet_weights_from_a_wheel_are_the_same_each_time_and_at_every_size(name: str) -> None:
    network, other = (build_backbone(get_spec(name), size_px, "imagenet") for size_px in (32, 49))
    assert all(np.array_equal(a, b) for a, b in zip(other.weights, network.weights, strict=True))
    assert weights_digest(build_backbone(get_spec(name), 32, "imagenet")) == weights_digest(network)


def test_lite0_keeps_its_digest() -> None:
    # Features in a cache and models in a registry are found by it.
    digest = weights_digest(build_backbone(LITE0, 64, "imagenet"))
    assert digest == "26b13635043d55e2f0e9a4b8923c6d097f90dd9d08ec82a3a2a0f7f78472d7b3"


def test_a_weight_without_a_tensor_and_a_tensor_without_a_weight_are_both_listed(network: Any, tensors: Any) -> None:
    renamed = {name.replace("_bn1.bias", "_bn1.bais"): value for name, value in tensors.items()}
    missing = r"weights without a tensor: \[_blocks\.0\._bn1\.bias, .* and 12 more\]"
    with pytest.raises(ZooError, match=rf"{missing}, tensors without a weight: \[_blocks\.0\._bn1\.bais, "):
        fill_lite0(network, renamed)


def test_only_the_classifier_and_the_batch_counters_are_left_out(network: Any, tensors: Any) -> None:
    used = {LITE0.weights.torch_name(weight.path) for weight in network.weights}
    left = tensors.keys() - used
    assert len(used) == len(network.weights)
    assert {name for name in left if not name.endswith("num_batches_tracked")} == {"_fc.weight", "_fc.bias"}


def test_a_tensor_of_another_shape_is_refused_before_any_weight_changes(network: Any, tensors: Any) -> None:
    before = [np.array(weight) for weight in network.weights]
    with pytest.raises(ZooError, match=r"tensor _conv_head\.weight has another shape; expected \(1, 1, 320, 1280\)"):
        fill_lite0(network, tensors | {"_conv_head.weight": np.zeros((1, 1, 321, 1280), np.float32)})
    assert all(np.array_equal(old, new) for old, new in zip(before, network.weights, strict=True))


@pytest.mark.parametrize(
    ("backbone", "path", "name"),
    [
        ("efficientnet_lite0", "stem_conv/kernel", "_conv_stem.weight"),
        ("efficientnet_lite0", "stem_bn/moving_variance", "_bn0.running_var"),
        ("efficientnet_lite0", "block1_1_project_bn/beta", "_blocks.0._bn2.bias"),
        ("efficientnet_lite0", "block2_1_expand_bn/gamma", "_blocks.1._bn0.weight"),
        ("efficientnet_lite0", "block7_1_depthwise_conv/kernel", "_blocks.15._depthwise_conv.weight"),
        ("efficientnet_lite2", "block7_1_depthwise_conv/kernel", "_blocks.20._depthwise_conv.weight"),
        ("efficientnet_lite0", "top_bn/moving_mean", "_bn1.running_mean"),
    ],
)
def test_weights_of_lite_have_these_names_in_the_original(backbone: str, path: str, name: str) -> None:
    assert get_spec(backbone).weights.torch_name(path) == name


def write_vgg_face(path: Path, **changes: np.ndarray) -> dict[str, np.ndarray]:
    """Write random weights of VGG-Face as `convert-weights` does, and give them."""
    network = build_backbone(VGG_FACE, 32, "none")
    tensors = {weight.path: np.array(weight) for weight in network.weights} | changes
    save_file(tensors, path)
    return tensors


def test_a_path_fills_the_network_and_bgr_weights_see_rgb_pixels(tmp_path: Path) -> None:
    import keras

    tensors = write_vgg_face(tmp_path / "face.safetensors")
    network = build_backbone(VGG_FACE, 64, str(tmp_path / "face.safetensors"))
    pixels = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
    centred_bgr = pixels[..., ::-1] - np.float32([93.5940, 104.7624, 129.1863])
    first = keras.ops.conv(centred_bgr, tensors["block1_conv1/kernel"], padding="same")
    expected = keras.ops.relu(first + tensors["block1_conv1/bias"])
    found = cut(network, "block1_conv1")[0](pixels)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=1e-3)


def test_a_path_with_a_tensor_too_many_or_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_vgg_face(tmp_path / "more.safetensors", **{"fc1/kernel": np.zeros(3, np.float32)})
    with pytest.raises(ZooError, match=r"weights without a tensor: \[\], tensors without a weight: \[fc1/kernel\]"):
        build_backbone(VGG_FACE, 32, str(tmp_path / "more.safetensors"))
    write_vgg_face(tmp_path / "other.safetensors", **{"block1_conv1/bias": np.zeros(3, np.float32)})
    with pytest.raises(ZooError, match=r"tensor block1_conv1/bias has another shape; expected \(64,\); received"):
        build_backbone(VGG_FACE, 32, str(tmp_path / "other.safetensors"))


def test_vgg_face_has_no_public_imagenet_weights_and_the_error_says_how_to_convert() -> None:
    with pytest.raises(ZooError, match=r"no public ImageNet weights of vgg_face; .*convert-weights vgg-face SRC DST"):
        build_backbone(VGG_FACE, 32, "imagenet")


def test_pixels_are_scaled_in_float32_whatever_the_network_computes_in() -> None:
    import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = build_backbone(VGG_FACE, 32, "none")
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.get_layer("scale").compute_dtype == "float32"
    assert network.get_layer("block1_conv1").compute_dtype == "bfloat16"
