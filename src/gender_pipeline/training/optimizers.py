"""The optimisers, and how their step size changes over a phase."""

import math
from typing import TYPE_CHECKING, Any

from gender_pipeline.recipes import Optimizer

if TYPE_CHECKING:
    import keras


def make_optimizer(
    settings: Optimizer, learning_rate: float, *, steps_an_epoch: int, epochs: int
) -> "keras.optimizers.Optimizer":
    """Make the optimiser of one phase.

    Args:
        settings: Which optimiser and schedule.
        learning_rate: The phase's largest step size.
        steps_an_epoch: Batches in an epoch.
        epochs: Most epochs of the phase, the length of its schedule.
    """
    from keras import optimizers

    warmup = round(settings.warmup_epochs * steps_an_epoch)
    rate: Any = learning_rate
    if settings.schedule != "constant" or warmup:
        rate = _schedule(settings.schedule, learning_rate, warmup=warmup, total=steps_an_epoch * epochs)
    if settings.name == "sgd":
        return optimizers.SGD(rate, settings.momentum)
    if settings.name == "rmsprop":
        return optimizers.RMSprop(rate, momentum=settings.momentum)
    if settings.name == "adamw":
        return optimizers.AdamW(rate, weight_decay=settings.weight_decay)
    return optimizers.Adam(rate)


def _schedule(name: str, peak: float, *, warmup: int, total: int) -> Any:
    """Make a schedule from a step's number (scalar) to its size (scalar float32) in [0, peak]."""
    from keras import ops
    from keras.optimizers.schedules import LearningRateSchedule

    class Schedule(LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            step = ops.cast(step, "float32")
            # The first step is taken too: with a size of 0 it would be lost.
            warm = ops.minimum(1.0, (step + 1) / max(warmup, 1))
            done = ops.clip((step - warmup) / max(total - warmup, 1), 0.0, 1.0)
            shape = 1.0
            if name == "cosine":
                shape = 0.5 * (1 + ops.cos(math.pi * done))
            elif name == "step":
                shape = ops.power(0.1, ops.floor(3 * done))
            return peak * warm * shape

    return Schedule()
