"""How long a network takes for a photo on this machine.

Method: a batch of random pixels lies in memory as float32; what is timed is the way from there to the probabilities as
an array, through the whole network, called as `Predictor` calls it and without XLA. Reading and decoding a photo is not
timed: it costs the same for every network of one image size. The first calls, which trace the graph and fill the
processor's caches, are not counted; of the others the median is taken, which a disturbance of some of them does not
move. Photos a second are batch size over that median. On a machine with other work to do all figures are too slow, and
they are figures of one machine: compare them within a table only.
"""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from gender_pipeline.schema import Settings
from gender_pipeline.training.features import no_xla

if TYPE_CHECKING:
    import keras


class TimingSettings(Settings):
    """How often a network is called."""

    warm_up: Annotated[int, Field(ge=1, le=1000)] = 3
    """Calls before the first one that counts."""
    repeats: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Calls of which the median is taken."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What a batch costs.

    Attributes:
        batch_size: Photos in a batch, n >= 1.
        seconds: Median time of a batch, > 0.
    """

    batch_size: int
    seconds: float

    @property
    def latency_ms(self) -> float:
        """Milliseconds until a batch is answered."""
        return 1000 * self.seconds

    @property
    def photos_per_second(self) -> float:
        """Photos answered in a second, batch after batch."""
        return self.batch_size / self.seconds


def measure_timing(network: "keras.Model", batch_size: int, settings: TimingSettings) -> Timing:
    """Time a network.

    Args:
        network: From raw pixels (N, S, S, 3) float32 in [0, 255] to probabilities (N, k); it is compiled anew.
        batch_size: N.
        settings: How often it is called.
    """
    no_xla(network)
    shape = (batch_size, *network.input_shape[1:])
    # Not zeros: a processor may be faster, or with denormal numbers much slower, on what no photo looks like.
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    for _ in range(settings.warm_up):
        network.predict_on_batch(pixels)
    seconds = []
    for _ in range(settings.repeats):
        start = perf_counter()
        network.predict_on_batch(pixels)
        seconds.append(perf_counter() - start)
    return Timing(batch_size, median(seconds))


def device_name() -> str:
    """Name what Keras computes on, such as `Intel(R) Xeon(R) Processor, 2 threads`, and the accelerators where any."""
    import keras

    others = [device for device in keras.distribution.list_devices() if not device.lower().startswith("cpu")]
    return ", ".join([processor_name(), f"{n_cores()} threads", *others])


def n_cores() -> int:
    """Return the cores this process may use; Keras' backends run as many threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """Return the processor's name as it gives it itself."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
