import numpy as np
import pytest
from numpy.typing import NDArray

from gender_pipeline.export.predictor import Predictor
from gender_pipeline.serving.heat_map import occlusion_map

SIZE_PX = 64
PATCH = (slice(40, 48), slice(8, 16))  # the cell in row 5, column 1 of 8 x 8
RED = 0


def predictor_of(p_red) -> Predictor:
    """Make a predictor of two classes from a rule: (n, S, S, 3) float32 -> the probability (n,) of the first."""

    def network(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        red = np.asarray(p_red(pixels), np.float32)
        return np.stack([red, 1 - red], axis=1)

    return Predictor(network, ("red", "other"), SIZE_PX)


def redness(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return 0.1 + 0.8 * pixels[:, *PATCH, 0].mean(axis=(1, 2)) / 255


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    """Make a photo of noise in blue and green with one red patch."""
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE_PX, SIZE_PX, 3), np.uint8)
    pixels[..., 0] = 0
    pixels[(*PATCH, RED)] = 255
    return pixels


def test_the_part_on_which_the_answer_hangs_is_1_and_parts_far_from_it_are_0(photo) -> None:
    found = occlusion_map(predictor_of(redness), photo, RED)
    assert found.shape == (8, 8)
    assert found.dtype == np.float32
    assert found[5, 1] == found.max() == 1
    assert found[:2].max() < 0.01
    assert found[:, 5:].max() < 0.01


def test_what_speaks_against_a_class_is_0_for_it(photo) -> None:
    assert not occlusion_map(predictor_of(redness), photo, 1).any()


def test_it_is_all_0_where_nothing_matters(photo) -> None:
    constant = predictor_of(lambda pixels: np.full(len(pixels), 0.7))
    assert not occlusion_map(constant, photo, RED).any()


def test_the_noise_of_computing_is_nothing(photo) -> None:
    noise = np.random.default_rng(0)
    shaky = predictor_of(lambda pixels: 0.99999 + noise.uniform(-1e-6, 1e-6, len(pixels)))
    assert not occlusion_map(shaky, photo, RED).any()


def test_a_part_still_shows_where_the_answer_is_sure(photo) -> None:
    sure = predictor_of(lambda pixels: 1 - 10 ** (-4 - redness(pixels)))
    assert np.unravel_index(occlusion_map(sure, photo, RED).argmax(), (8, 8)) == (5, 1)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_probabilities_of_0_and_1_are_finite(photo, probability) -> None:
    certain = predictor_of(lambda pixels: np.where(pixels[:, *PATCH, 0].mean(axis=(1, 2)) > 250, 1.0, probability))
    found = occlusion_map(certain, photo, RED)
    assert np.isfinite(found).all()
    assert found.max() == 1 - probability


def test_a_photo_of_one_colour_has_nothing_to_cover() -> None:
    grey = np.full((SIZE_PX, SIZE_PX, 3), 77, np.uint8)
    assert not occlusion_map(predictor_of(redness), grey, RED).any()


@pytest.mark.parametrize("grid", [1, 4, 7])
def test_the_grid_has_as_many_cells_as_asked_for(photo, grid) -> None:
    assert occlusion_map(predictor_of(redness), photo, RED, grid=grid).shape == (grid, grid)
