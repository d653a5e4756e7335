"""Views of a photo: the distortions it is trained with, and the crops it is tested with."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from gender_pipeline.schema import Settings

VIEWS_VERSION: Final = 1  # to be raised when the same view gives other pixels
_CROP_SHARE: Final = 7 / 8  # of the side: 224 of 256 px, as in Szegedy et al. 2015 (arXiv:1409.4842), section 7


class Augmentation(Settings):
    """Random distortions of the train photos, after TensorFlow's Inception retraining tutorial.

    Attributes:
        views: How many views of a photo are kept where layers are frozen, the photo as it is first; an epoch takes one
            at random. Where nothing is frozen every epoch draws a new one, and this is not used.
        flip: Whether half of the views are mirrored.
        crop: Most that is cut off height and width, as a share, in [0, 0.5]; the rest is scaled up again.
        brightness: Most by which a view is made brighter or darker, as a share, in [0, 0.9].
    """

    views: int = Field(default=1, ge=1, le=64)
    flip: bool = False
    crop: float = Field(default=0.0, ge=0.0, le=0.5)
    brightness: float = Field(default=0.0, ge=0.0, le=0.9)

    def __bool__(self) -> bool:
        """Return whether anything is changed."""
        return self.flip or self.crop > 0 or self.brightness > 0


_UNCHANGED: Final = Augmentation()


@dataclass(frozen=True)
class View:
    """One way to look at photos; the same view of the same photo is always the same pixels.

    Attributes:
        augmentation: Most that is changed at random; what is drawn hangs on `seed`, `number` and the photo's id.
        seed: Of the random numbers.
        number: Tells the random views of one training from each other.
        crop: A fixed part instead: left, top and side, as shares of the photo's side.
        mirrored: Whether the fixed part is mirrored.
    """

    augmentation: Augmentation = _UNCHANGED
    seed: int = 0
    number: int = 0
    crop: tuple[float, float, float] = (0.0, 0.0, 1.0)
    mirrored: bool = False

    @property
    def key(self) -> str:
        """What the pixels hang on beside the photo; views that give the same pixels have the same key."""
        if self == PLAIN:
            return "plain"
        distortion = self.augmentation.model_dump_json(exclude={"views"})
        return f"{VIEWS_VERSION} {distortion} {self.seed} {self.number} {self.crop} {self.mirrored}"

    def apply(self, image_id: str, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the view of a photo: from and to (S, S, 3) uint8."""
        if self.augmentation:
            # The id goes in as a whole, so that no two photos of a training are distorted alike.
            digest = hashlib.sha256(f"{self.seed} {self.number} {image_id}".encode()).digest()
            return _distort(pixels, self.augmentation, np.random.default_rng(int.from_bytes(digest[:8], "little")))
        size, (left, top, side) = len(pixels), self.crop
        part = _scaled_up(pixels, left * size, top * size, side * size)
        return part[:, ::-1] if self.mirrored else part


PLAIN: Final = View()


def distorted_views(augmentation: Augmentation, seed: int) -> tuple[View, ...]:
    """Return the views of a training: the photo as it is, then `augmentation.views` - 1 distorted ones."""
    distorted = (View(augmentation, seed, number) for number in range(1, augmentation.views))
    return (PLAIN, *(distorted if augmentation else ()))


def crop_views(n_crops: int) -> tuple[View, ...]:
    """Return the views whose answers are averaged at test time.

    Args:
        n_crops: 1, the photo; 2, and mirrored; 5, its middle and corners of 7/8 of the side; 10, and mirrored.
    """
    if n_crops <= 2:
        return (PLAIN, View(mirrored=True))[:n_crops]
    rest = 1 - _CROP_SHARE
    places = [(rest / 2, rest / 2), (0.0, 0.0), (rest, 0.0), (0.0, rest), (rest, rest)]
    crops = [(left, top, _CROP_SHARE) for left, top in places]
    return tuple(View(crop=crop, mirrored=mirrored) for mirrored in (False, True) for crop in crops)[:n_crops]


def distort(pixels: NDArray[np.uint8], augmentation: Augmentation, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a new distortion of each of N photos: from and to (N, S, S, 3) uint8."""
    if not augmentation:
        return pixels
    return np.stack([_distort(photo, augmentation, random) for photo in pixels])


def _distort(pixels: NDArray[np.uint8], augmentation: Augmentation, random: np.random.Generator) -> NDArray[np.uint8]:
    cut, left, top, mirror, light = random.random(5)
    size = len(pixels)
    side = size * (1 - cut * augmentation.crop)
    pixels = _scaled_up(pixels, left * (size - side), top * (size - side), side)
    if augmentation.flip and mirror < 0.5:
        pixels = pixels[:, ::-1]
    if augmentation.brightness:
        factor = 1 + augmentation.brightness * (2 * light - 1)
        # A table of 256 entries instead of arithmetic on every pixel: three times as fast.
        table = np.clip(np.arange(256) * factor, 0, 255).astype(np.uint8)
        pixels = table[pixels]
    return pixels


def _scaled_up(pixels: NDArray[np.uint8], left: float, top: float, side: float) -> NDArray[np.uint8]:
    """Cut a square out of (S, S, 3) and scale it to (S, S, 3) again, bilinear; places in pixels."""
    size = len(pixels)
    if side == size:
        return pixels
    box = (left, top, min(left + side, size), min(top + side, size))  # rounding may reach past the edge
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR, box=box))
