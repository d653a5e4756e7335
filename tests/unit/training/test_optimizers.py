"""The optimisers and their schedules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gender_pipeline.recipes import Optimizer
from gender_pipeline.training.optimizers import make_optimizer


def rates(schedule: str, warmup_epochs: float, *, steps: int = 10, epochs: int = 6) -> list[float]:
    """Return the step size of every step of a phase with a largest one of 0.5."""
    optimizer = make_optimizer(
        Optimizer(learning_rate=0.1, schedule=schedule, warmup_epochs=warmup_epochs),
        0.5,
        steps_an_epoch=steps,
        epochs=epochs,
    )
    found = []
    for step in range(steps * epochs):
        optimizer.iterations.assign(step)
        found.append(float(np.asarray(optimizer.learning_rate)))
    return found


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", "Adam"), ("adamw", "AdamW"), ("rmsprop", "RMSprop"), ("sgd", "SGD")]
)
def test_a_name_gives_the_optimiser_of_keras_with_the_phases_rate(name: str, kind: str) -> None:
    optimizer = make_optimizer(Optimizer(name=name, learning_rate=0.1), 0.5, steps_an_epoch=1, epochs=1)
    assert type(optimizer).__name__ == kind
    assert float(np.asarray(optimizer.learning_rate)) == 0.5


@settings(deadline=None, max_examples=10)
@given(st.sampled_from(["constant", "cosine", "step"]), st.floats(0, 6))
def test_a_rate_is_above_zero_and_never_above_the_largest(schedule: str, warmup: float) -> None:
    found = np.array(rates(schedule, warmup))
    assert (found > 0).all()
    assert (found <= 0.5 + 1e-6).all()


def test_warm_up_grows_linearly_and_ends_at_the_largest_rate() -> None:
    found = rates("constant", 2.0)
    np.testing.assert_allclose(found[:20], 0.5 * np.arange(1, 21) / 20, rtol=1e-5)
    np.testing.assert_allclose(found[20:], 0.5, rtol=1e-5)


def test_cosine_falls_all_the_way_and_is_at_half_in_the_middle() -> None:
    found = np.array(rates("cosine", 0.0))
    assert (np.diff(found) < 0).all()
    assert found[30] == pytest.approx(0.25)
    assert found[-1] < 0.001


def test_step_divides_by_ten_after_each_third() -> None:
    found = rates("step", 0.0)
    np.testing.assert_allclose([found[0], found[21], found[41]], [0.5, 0.05, 0.005], rtol=1e-5)
