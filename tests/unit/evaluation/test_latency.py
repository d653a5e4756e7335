import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gender_pipeline.evaluation import latency
from gender_pipeline.evaluation.latency import Timing, TimingSettings, measure_timing


class Clock:
    """A clock that only the network below moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Network:
    """Takes as many seconds for its calls as it is told to."""

    input_shape = (None, 8, 8, 3)

    def __init__(self, clock: Clock, seconds: list[float]) -> None:
        self.clock, self.seconds, self.batches = clock, iter(seconds), []

    def compile(self, *, jit_compile: bool) -> None:
        assert not jit_compile

    def predict_on_batch(self, pixels: np.ndarray) -> None:
        self.batches.append(pixels)
        self.clock.now += next(self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(latency, "perf_counter", clock)
    return clock


def test_the_median_of_the_calls_after_the_first_ones_counts(clock) -> None:
    network = Network(clock, [99.0, 50.0, 0.5, 0.25, 7.0])
    timing = measure_timing(network, 2, TimingSettings(warm_up=2, repeats=3))
    assert timing == Timing(batch_size=2, seconds=0.5)
    assert timing.latency_ms == 500
    assert timing.photos_per_second == 4


def test_a_batch_looks_like_photos(clock) -> None:
    network = Network(clock, [1.0, 1.0])
    measure_timing(network, 32, TimingSettings(warm_up=1, repeats=1))
    first, second = network.batches
    assert first.shape == (32, 8, 8, 3)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert 200 < first.max() <= 255
    assert np.array_equal(first, second)


@given(st.integers(1, 4096), st.floats(1e-6, 1e3))
def test_photos_a_second_times_the_time_of_a_batch_are_a_batch(batch_size, seconds) -> None:
    timing = Timing(batch_size, seconds)
    assert timing.photos_per_second > 0
    assert timing.photos_per_second * timing.latency_ms / 1000 == pytest.approx(batch_size)


def test_a_real_network_takes_some_time() -> None:
    import keras

    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.GlobalAveragePooling2D()])
    timing = measure_timing(network, 3, TimingSettings(warm_up=1, repeats=2))
    assert timing.seconds > 0


def test_a_network_is_called_at_least_once_for_each_purpose() -> None:
    for key in ("warm_up", "repeats"):
        with pytest.raises(ValidationError, match=key):
            TimingSettings(**{key: 0})


def test_the_device_is_named_with_its_threads() -> None:
    assert latency.processor_name()
    assert latency.device_name().startswith(f"{latency.processor_name()}, {latency.n_cores()} threads")
