"""The one path from photo bytes to the model's answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ImageError
from gender_pipeline.images.decode import decode_rgb
from gender_pipeline.training.features import no_xla
from gender_pipeline.training.trained_model import TrainedModel

BATCH_SIZE: Final = 32  # bounds the memory: 32 photos of 512 px are 100 MB as float32


@dataclass(frozen=True)
class Predictor:
    """Answers encoded photos.

    Attributes:
        model: Network, image size and class names.
    """

    model: TrainedModel

    def __post_init__(self) -> None:
        no_xla(self.model.network)

    def predict(self, photos: Sequence[bytes]) -> NDArray[np.float32]:
        """Answer photos.

        Args:
            photos: N encoded images (JPEG, PNG, BMP, WebP).

        Returns:
            Probabilities (N, k) float32 in the order of `model.class_names`; each row sums to 1. An answer says how a
            data set's annotators would name the apparent gender, not who the person is.

        Raises:
            ImageError: A photo cannot be decoded; the message starts with its position.
        """
        answers = [np.empty((0, len(self.model.class_names)), np.float32)]
        for start in range(0, len(photos), BATCH_SIZE):
            batch = photos[start : start + BATCH_SIZE]
            pixels = np.stack([self._decode(position, photo) for position, photo in enumerate(batch, start)])
            answers.append(np.asarray(self.model.network.predict_on_batch(pixels), np.float32))
        return np.concatenate(answers)

    def _decode(self, position: int, photo: bytes) -> NDArray[np.float32]:
        recipe = self.model.recipe
        try:
            return decode_rgb(photo, recipe.image_size_px, recipe.framing).astype(np.float32)
        except ImageError as error:
            raise ImageError(f"photo {position}: {error}") from error
