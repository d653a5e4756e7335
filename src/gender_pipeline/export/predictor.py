"""The one path from photo bytes to the model's answer."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import ImageError
from gender_pipeline.export.networks import SAVED_MODEL, Network, load_network, read_description
from gender_pipeline.images.decode import Framing, decode_rgb, map_ahead
from gender_pipeline.images.faces import Box, cut_faces

if TYPE_CHECKING:
    from gender_pipeline.training.trained_model import TrainedModel

BATCH_SIZE: Final = 32  # bounds the memory: 32 photos of 512 px are 100 MB as float32
NO_FACE: Final = "no face"

Crop: TypeAlias = Literal["none", "face"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What the network is to see of a photo.

    Attributes:
        pixels: (n, S, S, 3) uint8, RGB; a row a face, or the photo itself. n is 0 where there is a problem.
        boxes: Where the n faces are, as (x, y, width, height) in pixels of the upright photo; empty where none was
            looked for.
        problem: Why there is nothing to see: `no face`, or what `images.decode.load_image` says.
    """

    pixels: NDArray[np.uint8]
    boxes: tuple[Box, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class FaceAnswer:
    """The answer for a face, or for a photo as it is.

    Attributes:
        box: (x, y, width, height) in pixels of the upright photo; None for a photo as it is.
        probabilities: (k,) float32 in the order of the predictor's classes; they sum to 1.
    """

    box: Box | None
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PhotoAnswer:
    """The answers for a photo.

    Attributes:
        faces: One answer a face, the largest face first; one in all where no faces were looked for.
        problem: Why there is none.
    """

    faces: tuple[FaceAnswer, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, eq=False)
class Predictor:
    """Answers encoded photos. An answer says how annotators would name the apparent gender, not who the person is.

    Attributes:
        network: What computes; it is not called by two threads at once.
        class_names: The k classes in the order of the probabilities.
        image_size_px: Side of the square images the network sees.
        framing: Which part of a photo, or of a face's crop, is scaled to that square.
        crop: What the network was trained to see: `face` crops, or photos as they are (`none`).
        facts: What there is to say of the model: name -> value.
    """

    network: Network
    class_names: tuple[str, ...]
    image_size_px: int
    framing: Framing = "square"
    crop: Crop = "none"
    facts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, model: "TrainedModel") -> Self:
        """Make the predictor of a trained model."""
        from gender_pipeline.training.features import no_xla

        no_xla(model.network)
        recipe = model.recipe
        return cls(
            lambda pixels: np.asarray(model.network.predict_on_batch(pixels), np.float32),
            model.class_names,
            recipe.image_size_px,
            recipe.framing,
            recipe.crop,
            model.facts(),
        )

    def predict(self, photos: Sequence[bytes]) -> NDArray[np.float32]:
        """Answer photos as they are; those the network was trained on are.

        Args:
            photos: N encoded images (JPEG, PNG, BMP, WebP).

        Returns:
            Probabilities (N, k) float32 in the order of `class_names`; each row sums to 1.

        Raises:
            ImageError: A photo cannot be decoded; the message starts with its position.
        """
        answers = [np.empty((0, len(self.class_names)), np.float32)]
        for start in range(0, len(photos), BATCH_SIZE):
            batch = photos[start : start + BATCH_SIZE]
            answers.append(self.classify(np.stack([self._decode(at, data) for at, data in enumerate(batch, start)])))
        return np.concatenate(answers)

    def answer(self, photos: Iterable[bytes], *, crop: Crop | None = None) -> Iterator[PhotoAnswer]:
        """Answer photos as a stream, decoded ahead of the network; bad bytes give a problem and raise nothing.

        Args:
            photos: Encoded images; at most a batch and a few more are in memory at a time.
            crop: What is cut out of a photo; None follows the model. `none` for photos that are face crops already.

        Yields:
            An answer a photo, in their order.
        """
        prepared = map_ahead(lambda data: self.prepare(data, crop=crop), photos)
        while batch := list(islice(prepared, BATCH_SIZE)):
            yield from self.answer_prepared(batch)

    def prepare(self, data: bytes, *, crop: Crop | None = None) -> Prepared:
        """Decode a photo, find and cut out its faces where the model wants that; for any thread, and raises nothing."""
        try:
            cuts = cut_faces(data) if (crop or self.crop) == "face" else None
            photos = [data] if cuts is None else [cut.data for cut in cuts]
            pixels = [decode_rgb(photo, self.image_size_px, self.framing) for photo in photos]
        except ImageError as error:
            return Prepared(self.no_pixels, problem=_reason(error))
        if not pixels:
            return Prepared(self.no_pixels, problem=NO_FACE)
        return Prepared(np.stack(pixels), tuple(cut.box for cut in cuts or ()))

    def answer_prepared(self, batch: Sequence[Prepared]) -> list[PhotoAnswer]:
        """Answer prepared photos in one pass of the network."""
        probabilities = self.classify(np.concatenate([self.no_pixels, *(photo.pixels for photo in batch)]))
        answers, start = [], 0
        for photo in batch:
            rows = probabilities[start : start + len(photo.pixels)]
            start += len(photo.pixels)
            boxes = photo.boxes or (None,) * len(rows)
            answers.append(PhotoAnswer(tuple(map(FaceAnswer, boxes, rows)), photo.problem))
        return answers

    def classify(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the network on (n, S, S, 3) uint8; gives probabilities (n, k) float32."""
        parts = [pixels[start : start + BATCH_SIZE] for start in range(0, len(pixels), BATCH_SIZE)]
        answers = [self.network(part.astype(np.float32)) for part in parts]
        return np.concatenate([np.empty((0, len(self.class_names)), np.float32), *answers])

    @property
    def no_pixels(self) -> NDArray[np.uint8]:
        """(0, S, S, 3) uint8: what there is to see of a photo with a problem."""
        return np.empty((0, self.image_size_px, self.image_size_px, 3), np.uint8)

    def _decode(self, position: int, photo: bytes) -> NDArray[np.uint8]:
        try:
            return decode_rgb(photo, self.image_size_px, self.framing)
        except ImageError as error:
            raise ImageError(f"photo {position}: {error}") from error


def load_predictor(path: Path) -> Predictor:
    """Load a model from disk: the folder that a training wrote, or an exported file with its description beside it.

    Raises:
        ExportError: It is damaged, incomplete, or neither.
    """
    if path.is_dir() and path.name != SAVED_MODEL:
        from gender_pipeline.training.trained_model import TrainedModel

        return Predictor.of(TrainedModel.load(path))
    about = read_description(path)
    facts = {"name": about.name, "version": about.version, "commit": about.commit}
    return Predictor(load_network(path), about.class_names, about.image_size_px, about.framing, about.crop, facts)


def _reason(error: ImageError) -> str:
    """Return the short reason of `load_image`, which `decode_rgb` wraps into a longer sentence."""
    return str(error.__cause__ or error)
