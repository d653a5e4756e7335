"""What the network looked at: how much of its answer hangs on each part of a photo."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.export.predictor import Predictor

_SIGMA: Final = 0.75  # in cells: a cover this soft has no edge of its own for the network to see
# Of a sure answer hardly any probability goes (0.99999 becomes 0.9999), but the odds do: losses are logarithms of odds.
# The floor bounds what rounding to float32, or to the 256 steps of int8, can make of them.
_FLOOR: Final = 1e-4
_NEGLIGIBLE: Final = 0.01  # odds that change by one in a hundred: as much comes from computing in another batch


def occlusion_map(
    predictor: Predictor, pixels: NDArray[np.uint8], class_index: int, *, grid: int = 8
) -> NDArray[np.float32]:
    """Cover one part of a photo after another, and see how much of a class' probability goes.

    Occlusion sensitivity (Zeiler & Fergus 2014, arXiv:1311.2901, section 4.2). Unlike Grad-CAM it needs nothing of the
    network's inside, neither gradients nor layers, so that it serves Keras, ONNX and LiteRT alike; and where
    EfficientNet-Lite0 at 160 px has 5 x 5 places to tell apart, it has as many as one asks for. It costs
    `grid` x `grid` + 1 photos through the network.

    Args:
        predictor: What answers.
        pixels: (S, S, 3) uint8, RGB, as the network sees it (`Predictor.prepare`).
        class_index: The class whose probability is watched.
        grid: Cells a side.

    Returns:
        (grid, grid) float32 in [0, 1], top row first: what the log-odds of the class lose when the part around the cell
        is covered with the photo's mean colour, divided by the largest loss. 0 where covering changes nothing or
        raises the probability; all 0 where nothing matters.
    """
    colour = pixels.mean(axis=(0, 1), dtype=np.float32)
    covers = _covers(len(pixels), grid)[..., np.newaxis]
    covered = np.rint(pixels + covers * (colour - pixels)).astype(np.uint8)
    # The photo comes last: whole batches before it, and then a batch of one, are sizes that a server has run before.
    probabilities = predictor.classify(np.concatenate([covered, pixels[np.newaxis]]))[:, class_index]
    log_odds = np.log((probabilities + _FLOOR) / (1 - probabilities + _FLOOR))
    losses = np.maximum(log_odds[-1] - log_odds[:-1], 0).reshape(grid, grid)
    return losses / losses.max() if losses.max() > _NEGLIGIBLE else np.zeros_like(losses)


def _covers(size_px: int, grid: int) -> NDArray[np.float32]:
    """Return how much of each pixel each cell's cover hides: (grid * grid, size_px, size_px) in [0, 1]."""
    places = (np.arange(size_px, dtype=np.float32) + 0.5) * grid / size_px
    distances = places - (np.arange(grid, dtype=np.float32)[:, np.newaxis] + 0.5)
    bells = np.exp(-0.5 * (distances / _SIGMA) ** 2)
    covers: NDArray[np.float32] = np.einsum("ry,cx->rcyx", bells, bells).reshape(-1, size_px, size_px)
    return covers
