"""A weights file is checked before it is read, and loaded whole or not at all."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gender_pipeline.errors import ZooError
from gender_pipeline.zoo import build_backbone, get_spec
from gender_pipeline.zoo.build import fill, read_weights

LITE0 = get_spec("efficientnet_lite0")


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return read_weights(LITE0)


@pytest.fixture(scope="module")
def network() -> Any:
    return build_backbone(LITE0, 32, "none")


def test_an_unknown_backbone_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(ZooError, match="unknown backbone 'resnet50'; expected one of efficientnet_lite0"):
        get_spec("resnet50")


def test_unknown_weights_are_refused_and_the_known_are_listed() -> None:
    with pytest.raises(ZooError, match=r"unknown weights 'vggface' .* expected one of imagenet, none"):
        build_backbone(LITE0, 64, "vggface")


def test_images_too_small_to_be_halved_five_times_are_refused() -> None:
    with pytest.raises(ZooError, match="31 px images are too small"):
        build_backbone(LITE0, 31, "none")


def test_another_file_than_that_of_the_spec_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(b"other")
    spec = dataclasses.replace(LITE0, weights_file=lambda: tmp_path / "w.pth")
    with pytest.raises(ZooError, match=r"not hold the weights of .*expected sha256 5793.*received d9298a10"):
        read_weights(spec)


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    spec = dataclasses.replace(LITE0, weights_file=lambda: tmp_path / "w.pth")
    with pytest.raises(ZooError, match=r"w\.pth .*received no file; install the package"):
        read_weights(spec)


def test_a_weight_without_a_tensor_and_a_tensor_without_a_weight_are_both_listed(network: Any, tensors: Any) -> None:
    renamed = {name.replace("_bn1.bias", "_bn1.bais"): value for name, value in tensors.items()}
    missing = r"weights without a tensor: \[_blocks\.0\._bn1\.bias, .* and 12 more\]"
    with pytest.raises(ZooError, match=rf"{missing}, tensors without a weight: \[_blocks\.0\._bn1\.bais, "):
        fill(network, renamed, LITE0)


def test_only_the_classifier_and_the_batch_counters_are_left_out(network: Any, tensors: Any) -> None:
    used = {LITE0.torch_name(weight.path) for weight in network.weights}
    left = tensors.keys() - used
    assert len(used) == len(network.weights)
    assert {name for name in left if not name.endswith("num_batches_tracked")} == {"_fc.weight", "_fc.bias"}


def test_a_tensor_of_another_shape_is_refused_before_any_weight_changes(network: Any, tensors: Any) -> None:
    before = [np.array(weight) for weight in network.weights]
    with pytest.raises(ZooError, match=r"tensor _conv_head\.weight has another shape; expected \(1, 1, 320, 1280\)"):
        fill(network, tensors | {"_conv_head.weight": np.zeros((1280, 321, 1, 1), np.float32)}, LITE0)
    assert all(np.array_equal(old, new) for old, new in zip(before, network.weights, strict=True))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("stem_conv/kernel", "_conv_stem.weight"),
        ("stem_bn/moving_variance", "_bn0.running_var"),
        ("block1_1_project_bn/beta", "_blocks.0._bn2.bias"),
        ("block2_1_expand_bn/gamma", "_blocks.1._bn0.weight"),
        ("block7_1_depthwise_conv/kernel", "_blocks.15._depthwise_conv.weight"),
        ("top_bn/moving_mean", "_bn1.running_mean"),
    ],
)
def test_weights_of_lite0_have_these_names_in_the_original(path: str, name: str) -> None:
    assert LITE0.torch_name(path) == name
