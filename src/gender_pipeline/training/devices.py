"""What a training computes on: the processor, one GPU, or several in one machine."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from pydantic import Field

from gender_pipeline.errors import TrainingError
from gender_pipeline.schema import Settings

# How the backends say that memory has run out; both are subclasses of an error that says much else.
_OUT_OF_MEMORY: Final = ("RESOURCE_EXHAUSTED", "ResourceExhausted", "OOM when allocating", "out of memory")
_log = logging.getLogger(__name__)


class DeviceSettings(Settings):
    """Where to compute; no part of a recipe, which is the same on every machine.

    Attributes:
        names: Devices such as `GPU:0` or `CPU:0`; of several each takes its share of a batch. Empty for all GPUs there
            are, or the processor where there is none.
    """

    names: tuple[str, ...] = Field(default=())


def prepare_devices(seed: int) -> None:
    """Seed all random numbers, let GPU memory grow as needed, and make a GPU's sums repeatable.

    On the processor the operations of the networks here are repeatable as they are, which the tests hold; to ask
    TensorFlow for it as well costs 40 % of the speed of EfficientNet-Lite0 (docs/explanation/reproducibility.md).
    """
    import keras

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
            tf.config.experimental.enable_op_determinism()


def strategy_scope(names: Sequence[str]) -> AbstractContextManager[object]:
    """Give the context in which a network is built and compiled to be trained on these devices.

    Raises:
        TrainingError: There is no such device, or the backend cannot use several.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        if len(names) > 1:
            raise TrainingError("several devices need the TensorFlow backend", received=keras.backend.backend())
        return nullcontext()
    import tensorflow as tf

    there = [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]
    chosen = list(names) or [name for name in there if name.startswith("GPU:")]
    if missing := [name for name in chosen if name not in there]:
        raise TrainingError(
            "there is no such device", expected=f"one of {', '.join(there)}", received=", ".join(missing)
        )
    if len(chosen) > 1:
        _log.info("training on %s", ", ".join(chosen))
        # The default, NCCL, is for GPUs; on logical processors its collective operations mix up gradients.
        summing = None if chosen[0].startswith("GPU:") else tf.distribute.ReductionToOneDevice()
        return tf.distribute.MirroredStrategy(chosen, summing).scope()  # type: ignore[no-any-return]
    return tf.device(chosen[0]) if chosen else nullcontext()


@contextmanager
def out_of_memory_named(batch_size: int) -> Iterator[None]:
    """Turn a backend's error about memory into one that names the batch size to try.

    Raises:
        TrainingError: The device's memory does not hold a batch.
    """
    try:
        yield
    except Exception as error:
        if not any(sign in f"{type(error).__name__} {error}" for sign in _OUT_OF_MEMORY):
            raise
        raise TrainingError(
            "the device has not enough memory for a batch",
            received=f"batch_size {batch_size}",
            remedy=f"set batch_size to {max(batch_size // 2, 1)}, or image_size_px lower",
        ) from error
