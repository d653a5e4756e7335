"""What a photo's bytes say of themselves: size, contrast, perceptual hash, and whether something is wrong with them."""

import math
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, cast

import numpy as np
from PIL import Image
from pydantic import Field

from gender_pipeline.errors import ImageError
from gender_pipeline.images.decode import MAX_PIXELS, load_image, to_rgb
from gender_pipeline.schema import Settings

CHECKS_VERSION: Final = 1  # raise it when the same bytes give other facts: shards are then written anew

_FORMAT_BY_SUFFIX: Final = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".webp": "WEBP",
}
_GREY_VALUES: Final = np.arange(256)
_GREY_SQUARES: Final = _GREY_VALUES**2
_THUMBNAIL_PX: Final = 64
_FREQUENCIES: Final = 16
# Rows are the 16 lowest frequencies of the cosine transform (DCT-II) over 64 samples.
_COSINES: Final = np.cos(
    np.pi * np.arange(_FREQUENCIES)[:, None] * (2 * np.arange(_THUMBNAIL_PX) + 1) / (2 * _THUMBNAIL_PX)
)


class ImageLimits(Settings):
    """What a usable photo must keep to.

    Attributes:
        max_bytes: Largest encoded size.
        max_pixels: Largest width x height; read from the header, before anything is decoded.
        min_side_px: Smallest shorter side in pixels.
        min_contrast: Smallest standard deviation of the grey values (0-255); below it a photo is near-blank.
    """

    max_bytes: int = Field(default=20 * 2**20, ge=1, le=2**30)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=MAX_PIXELS)
    min_side_px: int = Field(default=32, ge=1)
    min_contrast: float = Field(default=4.0, ge=0, le=128)


@dataclass(frozen=True)
class ImageFacts:
    """What was found out about a photo.

    Attributes:
        width_px: Width of the upright photo; 0 where it cannot be decoded.
        height_px: Height of the upright photo; 0 where it cannot be decoded.
        phash: 32 bytes (256 bits) of which few differ between near-duplicates; None where it cannot be decoded.
        contrast: Standard deviation of the grey values, 0-128.
        grey: True where the three channels of every pixel are equal.
        problem: Why the photo cannot be used, as `reason` or `reason: detail`, or None. Reasons: `empty file`,
            `too many bytes`, `not an image`, `too many pixels`, `truncated`, `damaged`, `wrong extension`,
            `too small`, `near-blank`.
    """

    width_px: int = 0
    height_px: int = 0
    phash: bytes | None = None
    contrast: float = 0.0
    grey: bool = False
    problem: str | None = None


def inspect_image(data: bytes, name: str, limits: ImageLimits) -> ImageFacts:
    """Decode a photo in full and look at it; bad bytes never raise.

    Args:
        data: The encoded image.
        name: Its name, for the extension.
        limits: What a usable photo must keep to.

    Returns:
        The facts; a photo that decodes has its size, contrast and hash even if `problem` is set.
    """
    if len(data) > limits.max_bytes:
        return ImageFacts(problem=f"too many bytes: {len(data)}")
    try:
        image = load_image(data, max_pixels=limits.max_pixels)
        rgb = to_rgb(image)
    except ImageError as error:
        return ImageFacts(problem=str(error))
    grey = rgb.convert("L")
    contrast = _contrast(grey)
    return ImageFacts(
        width_px=rgb.width,
        height_px=rgb.height,
        phash=perceptual_hash(grey),
        contrast=contrast,
        grey=_is_grey(rgb),
        problem=_wrong_extension(name, str(image.format)) or _unusable(rgb.size, contrast, limits),
    )


def perceptual_hash(grey: Image.Image) -> bytes:
    """Hash what a photo looks like: which of its 16 x 16 lowest frequencies lie above their median.

    The photo is scaled to 64 x 64 pixels first, so that size, recompression and slight changes of colour move few of
    the 256 bits, while two different photos differ in about half of them.

    Args:
        grey: Image of mode `L`.

    Returns:
        32 bytes, row by row from the lowest vertical frequency; compare two by counting the bits that differ.
    """
    pixels = np.asarray(grey.resize((_THUMBNAIL_PX, _THUMBNAIL_PX), Image.Resampling.BOX), dtype=np.float64)
    frequencies = (_COSINES @ pixels @ _COSINES.T).ravel()
    # The lower median by partition: np.median costs as much as the transform itself.
    median = np.partition(frequencies, len(frequencies) // 2 - 1)[len(frequencies) // 2 - 1]
    return np.packbits(frequencies > median).tobytes()


def _contrast(grey: Image.Image) -> float:
    counts = np.array(grey.histogram())
    n_pixels = grey.width * grey.height
    variance = counts @ _GREY_SQUARES / n_pixels - (counts @ _GREY_VALUES / n_pixels) ** 2
    return math.sqrt(max(float(variance), 0.0))


def _is_grey(rgb: Image.Image) -> bool:
    # The pixel in the centre tells nearly all colour photos apart at a tenth of the cost.
    centre = cast("tuple[int, int, int]", rgb.getpixel((rgb.width // 2, rgb.height // 2)))
    if len(set(centre)) > 1:
        return False
    red, green, blue = rgb.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def _wrong_extension(name: str, content: str) -> str | None:
    suffix = PurePosixPath(name).suffix
    expected = _FORMAT_BY_SUFFIX.get(suffix.lower(), content)
    return f"wrong extension: {content} content under a {suffix} name" if expected != content else None


def _unusable(size: tuple[int, int], contrast: float, limits: ImageLimits) -> str | None:
    if min(size) < limits.min_side_px:
        return f"too small: {size[0]} x {size[1]}"
    if contrast < limits.min_contrast:
        return f"near-blank: contrast {contrast:.1f}"
    return None
