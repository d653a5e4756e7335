"""The path from photo bytes to the answer."""

import io

import numpy as np
import pytest
from PIL import Image

from gender_pipeline.errors import ImageError
from gender_pipeline.export.predictor import Predictor
from gender_pipeline.images.decode import decode_rgb
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import TrainedModel
from gender_pipeline.zoo import weights_digest

SIZE_PX = 32


def photo(number: int, kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    import keras

    pixels = keras.Input((SIZE_PX, SIZE_PX, 3))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, strides=4)(x))
    network = keras.Model(pixels, keras.layers.Dense(3, "softmax")(x))
    optimizer = {"learning_rate": 0.1}
    fields = {"name": "tiny", "backbone": "efficientnet_lite0", "image_size_px": SIZE_PX, "optimizer": optimizer}
    recipe = Recipe(**fields, epochs=1, batch_size=1, patience=1, seed=0)
    return Predictor.of(TrainedModel(network, recipe, ("a", "b", "c"), "pooled", weights_digest(network)))


@pytest.mark.parametrize("n_photos", [1, 2, 32, 33, 70])
def test_every_photo_gets_the_probabilities_of_its_own_pixels(predictor: Predictor, n_photos: int) -> None:
    photos = [photo(number) for number in range(n_photos)]
    pixels = np.stack([decode_rgb(data, SIZE_PX) for data in photos]).astype(np.float32)
    found = predictor.predict(photos)
    assert (found.dtype, found.shape) == (np.float32, (n_photos, 3))
    np.testing.assert_allclose(found, predictor.network(pixels), atol=1e-6)


def test_each_row_sums_to_one(predictor: Predictor) -> None:
    np.testing.assert_allclose(predictor.predict([photo(0), photo(1, "JPEG")]).sum(axis=1), 1.0, atol=1e-6)


def test_an_answer_does_not_hang_on_the_other_photos(predictor: Predictor) -> None:
    alone = predictor.predict([photo(3)])[0]
    np.testing.assert_allclose(predictor.predict([photo(number) for number in range(40)])[3], alone, atol=1e-6)


def test_no_photo_gives_no_answer(predictor: Predictor) -> None:
    assert predictor.predict([]).shape == (0, 3)


@pytest.mark.parametrize("bad", [b"", b"not a photo", photo(0)[:200]], ids=["empty", "text", "truncated"])
@pytest.mark.parametrize("position", [0, 35])
def test_a_photo_that_cannot_be_decoded_is_named_by_its_position(
    predictor: Predictor, bad: bytes, position: int
) -> None:
    photos = [photo(number) for number in range(40)]
    photos[position] = bad
    with pytest.raises(ImageError, match=f"^photo {position}: the photo cannot be decoded"):
        predictor.predict(photos)
