"""The Keras network with converted weights computes what the tensors say by numpy, and what PyTorch computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from gender_pipeline.zoo import build_backbone, get_spec
from gender_pipeline.zoo.vgg_face import convert_vgg_face
from torch_files import VGG_NAMES, vgg_tensors, write_vgg

TOLERANCE = 1e-4  # of features up to 2.4; measured: 3e-6
IMAGE_SIZE_PX = 64
MEAN_RGB = [129.1863, 104.7624, 93.5940]
LAST_OF_BLOCK = {"1_2", "2_2", "3_3", "4_3", "5_3"}


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return vgg_tensors(seed=3)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (2, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3)).astype(np.float32)


def scaled(pixels: np.ndarray) -> np.ndarray:
    """Do what the Torch and Caffe files expect: subtract the mean colour, turn RGB to BGR; (N, 3, H, W)."""
    return (pixels - np.float32(MEAN_RGB))[..., ::-1].transpose(0, 3, 1, 2)


def forward(tensors: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Compute (N, 512) features in float64 from (N, 3, H, W), by the definition of a convolution."""
    for name in VGG_NAMES:
        windows = sliding_window_view(np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3))
        kernel = tensors[f"{name}.weight"].astype(np.float64)
        summed = np.tensordot(windows, kernel, ((1, 4, 5), (1, 2, 3)))
        x = np.maximum(summed + tensors[f"{name}.bias"], 0).transpose(0, 3, 1, 2)
        if name in LAST_OF_BLOCK:
            x = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max((3, 5))
    return x.mean((2, 3))


def features_of(destination: Path, pixels: np.ndarray) -> Any:
    network = build_backbone(get_spec("vgg_face"), IMAGE_SIZE_PX, str(destination))
    return network.predict_on_batch(pixels)


def test_the_network_from_torch7_equals_the_definition(tensors: Any, pixels: np.ndarray, tmp_path: Path) -> None:
    destination = tmp_path / "vgg_face.safetensors"
    convert_vgg_face(write_vgg(tmp_path / "VGG_FACE.t7", tensors), destination)
    wanted = forward(tensors, scaled(pixels))
    assert 0.3 < wanted.max() < 3, "features of the order of 1, else the tolerance says nothing"
    assert np.abs(features_of(destination, pixels) - wanted).max() < TOLERANCE


@pytest.mark.parametrize("zipped", [True, False])
def test_the_network_from_pytorch_equals_pytorch(zipped: bool, tensors: Any, pixels: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    state = {f"conv{name}": torch.nn.Parameter(torch.from_numpy(array)) for name, array in tensors.items()}
    state |= {"fc6.weight": torch.ones(2, 3, dtype=torch.float16), "fc6.bias": torch.ones(2)}
    torch.save(state, tmp_path / "vgg_face.pth", _use_new_zipfile_serialization=zipped)
    convert_vgg_face(tmp_path / "vgg_face.pth", tmp_path / "vgg_face.safetensors")
    with torch.no_grad():
        x = torch.from_numpy(scaled(pixels).copy())
        for name in VGG_NAMES:
            x = torch.relu(torch.conv2d(x, state[f"conv{name}.weight"], state[f"conv{name}.bias"], padding=1))
            x = torch.max_pool2d(x, 2) if name in LAST_OF_BLOCK else x
    found = features_of(tmp_path / "vgg_face.safetensors", pixels)
    assert np.abs(found - x.mean((2, 3)).numpy()).max() < TOLERANCE
