"""The Keras network computes what the original torch network computed; see record_efficientnet_lite0.py."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gender_pipeline.zoo import build_backbone, cut, get_spec
from gender_pipeline.zoo.build import read_weights

SPEC = get_spec("efficientnet_lite0")
TOLERANCE = 1e-4  # of activations up to 50; measured: 4.0e-5 at most, 4.3e-6 for the features
MILITARY_UNIFORM = 652  # index in ImageNet's 1,000 classes


@pytest.fixture(scope="module")
def network() -> Any:
    return build_backbone(SPEC, 224, "imagenet")


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("efficientnet_lite0.npz"), allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def pixels(recorded: dict[str, np.ndarray]) -> np.ndarray:
    return recorded["thumbnails"].repeat(7, axis=1).repeat(7, axis=2).astype(np.float32)


def test_the_recording_has_every_place_where_the_network_can_be_cut(recorded: dict[str, np.ndarray]) -> None:
    assert set(recorded) == {"thumbnails", *SPEC.block_names}


@pytest.mark.parametrize("block", [name for name in SPEC.block_names if name != "pooled"])
def test_a_block_gives_the_original_activations(block: str, network: Any, recorded: Any, pixels: Any) -> None:
    activations = np.asarray(cut(network, block)[0](pixels))
    points = [0, activations.shape[1] // 2, -1]
    assert np.abs(activations[:, points][:, :, points] - recorded[block]).max() < TOLERANCE


def test_the_features_are_the_original_ones(network: Any, recorded: Any, pixels: Any) -> None:
    assert np.abs(network.predict_on_batch(pixels) - recorded["pooled"]).max() < TOLERANCE


def test_with_the_original_classifier_grace_hopper_wears_a_military_uniform(network: Any) -> None:
    from matplotlib.cbook import get_sample_data

    photo = Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)).crop((0, 0, 512, 512)).resize((224, 224))
    features = network.predict_on_batch(np.asarray(photo, np.float32)[None])
    tensors = read_weights(SPEC)
    logits = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert int(logits.argmax()) == MILITARY_UNIFORM
