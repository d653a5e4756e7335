"""Which precision a recipe's network is fastest in, by measurement."""

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from gender_pipeline.recipes import RANDOM, Recipe
from gender_pipeline.training.network import LOGITS, PIXELS, build_network, cut_layer
from gender_pipeline.zoo import cut

if TYPE_CHECKING:
    import keras

# Half precision rounds more: what it gains must be more than the noise of the measurement.
MIN_GAIN: Final = 1.15
_BATCH, _REPEATS = 16, 3
_log = logging.getLogger(__name__)


def choose_precision(recipe: Recipe) -> Recipe:
    """Return the recipe with `auto` replaced by `float32` or `bfloat16`, whichever this machine computes faster.

    Measured is what takes longest: the frozen part's forward pass, or where nothing is frozen a training step. The
    choice is part of the trained model's recipe, so that a reproduction does not measure again.
    """
    if recipe.precision != "auto":
        return recipe
    seconds = {precision: _seconds(recipe, precision) for precision in ("float32", "bfloat16")}
    chosen = "bfloat16" if seconds["float32"] > MIN_GAIN * seconds["bfloat16"] else "float32"
    _log.info("precision %s: %s", chosen, ", ".join(f"{name} {s * 1000:.0f} ms" for name, s in seconds.items()))
    return recipe.model_copy(update={"precision": chosen})


def _seconds(recipe: Recipe, precision: str) -> float:
    """Return the least seconds of some runs over a batch of noise; the speed does not hang on the weights."""
    trial = recipe.model_copy(update={"precision": precision, "weights": RANDOM})
    network, layer = build_network(trial, 2), cut_layer(trial, trial.trainable)
    random = np.random.default_rng(0)
    pixels = random.uniform(0, 255, (_BATCH, *network.input_shape[1:])).astype(np.float32)
    step = _training_step(network, pixels) if layer == PIXELS else _forward_pass(cut(network, layer)[0], pixels)
    step()
    return min(_timed(step) for _ in range(_REPEATS))


def _forward_pass(prefix: "keras.Model", pixels: Any) -> Any:
    prefix.compile(jit_compile=False)
    return lambda: prefix.predict_on_batch(pixels)


def _training_step(network: "keras.Model", pixels: Any) -> Any:
    to_logits = cut(network, LOGITS)[0]
    to_logits.compile("sgd", "mse", jit_compile=False)
    targets = np.zeros((_BATCH, to_logits.output_shape[-1]), np.float32)
    return lambda: to_logits.train_on_batch(pixels, targets)


def _timed(step: Any) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
