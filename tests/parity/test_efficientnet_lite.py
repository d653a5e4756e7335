"""The Keras networks compute what the original torch networks computed; see record_efficientnet_lite.py."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gender_pipeline.zoo import BackboneSpec, build_backbone, cut, get_spec
from gender_pipeline.zoo.imagenet import classify_imagenet

NAMES = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
TOLERANCE = 1e-4  # of activations up to 50; measured: 4.0e-5 at most, 4.3e-6 for the features


@pytest.fixture(scope="module", params=NAMES)
def spec(request: pytest.FixtureRequest) -> BackboneSpec:
    return get_spec(request.param)


@pytest.fixture(scope="module")
def network(spec: BackboneSpec) -> Any:
    return build_backbone(spec, 224, "imagenet")


@pytest.fixture(scope="module")
def recorded(spec: BackboneSpec) -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name(f"{spec.name}.npz"), allow_pickle=False) as file:
        return dict(file)


def test_every_block_gives_the_original_activations(spec: BackboneSpec, network: Any, recorded: Any) -> None:
    assert set(recorded) == {"thumbnails", *spec.block_names}
    values, rest = recorded["thumbnails"].repeat(7, axis=1).repeat(7, axis=2).astype(np.float32), network
    for block in spec.block_names[:-1]:
        prefix, rest = cut(rest, spec.layer_of(block))
        values = np.asarray(prefix(values))
        points = [0, values.shape[1] // 2, -1]
        assert np.abs(values[:, points][:, :, points] - recorded[block]).max() < TOLERANCE, block
    assert np.abs(np.asarray(rest(values)) - recorded["pooled"]).max() < TOLERANCE


@pytest.mark.parametrize("name", NAMES)
def test_with_the_original_classifier_grace_hopper_wears_a_military_uniform(name: str) -> None:
    from matplotlib.cbook import get_sample_data

    (answers,) = classify_imagenet(name, [Path(get_sample_data("grace_hopper.jpg", asfileobj=False)).read_bytes()])
    assert answers[0][0] == "military uniform"
