"""The one way from encoded bytes to RGB pixels, for the checks, training, evaluation and serving alike."""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, Literal, TypeAlias, TypeVar

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from gender_pipeline.errors import ImageError

DECODE_VERSION: Final = 1  # raise it when the same bytes give other pixels: caches of features hang on it
MAX_PIXELS: Final = 50_000_000  # 150 MB as RGB; no setting allows more, so that what is ingested can be decoded later
WORKERS: Final = 2

# The decoders are called directly: `Image.open` tries every format it knows, and warns or raises about large images
# by a limit that is global to the process.
_DECODERS: Final[tuple[tuple[bytes, type[ImageFile.ImageFile]], ...]] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"BM", BmpImageFile),
    (b"RIFF", WebPImageFile),
)
_ORIENTATION_TAG: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Framing: TypeAlias = Literal["square", "whole"]
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def load_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a JPEG, PNG, BMP or WebP image in full; nothing is decoded if its header says it is too large.

    Args:
        data: The encoded image.
        max_pixels: Largest width x height accepted.

    Returns:
        The decoded image in its own mode; `format` says which of the four formats it is.

    Raises:
        ImageError: In the words of the manifest's column `problem`, `reason` or `reason: detail`: `empty file`,
            `not an image`, `too many pixels`, `truncated`, `damaged`.
    """
    image = open_image(data, max_pixels=max_pixels)
    try:
        image.load()
    except (
        Exception
    ) as error:  # what PIL raises on hostile bytes is an open set: OSError, SyntaxError, struct.error, ...
        raise _unreadable(error) from error
    return image


def open_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """Read an image's header and leave its pixels undecoded; arguments and errors are those of `load_image`."""
    if not data:
        raise ImageError("empty file")
    decoder = next((decoder for magic, decoder in _DECODERS if data.startswith(magic)), None)
    if decoder is None:
        raise ImageError("not an image: neither JPEG, PNG, BMP nor WebP")
    try:
        image = decoder(io.BytesIO(data))
    except Exception as error:
        raise _unreadable(error) from error
    if image.width * image.height > max_pixels:
        raise ImageError(f"too many pixels: {image.width} x {image.height}")
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn a decoded image upright by its EXIF orientation and convert it to 8-bit RGB.

    Grey values are repeated in the three channels (the high byte of 16 bits), palettes are resolved, CMYK is converted
    by PIL's formula, and transparent pixels are laid on white, as viewers show them.
    """
    orientation = _orientation(image)
    if image.mode == "I;16":
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), rgba)
    if image.mode != "RGB":
        image = image.convert("RGB")
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def decode_rgb(data: bytes, size_px: int, framing: Framing = "square") -> np.ndarray:
    """Decode a photo and scale its centre square.

    The square is cut out, not the photo squashed: data sets differ in their aspect ratio, and a network must not learn
    the distortion of each. Scaling is bilinear over the whole area under a pixel (antialiased).

    Args:
        data: The encoded image.
        size_px: Side of the result in pixels.
        framing: `square` takes the centre square; `whole` takes all of the photo, and makes it narrower or wider.

    Returns:
        (size_px, size_px, 3) uint8, RGB, upright.

    Raises:
        ImageError: If the bytes are not a whole image of at most `MAX_PIXELS` pixels.
    """
    try:
        image = to_rgb(load_image(data))
    except ImageError as error:
        raise ImageError(
            f"the photo cannot be decoded: {error}",
            expected=f"a whole JPEG, PNG, BMP or WebP image of at most {MAX_PIXELS} pixels",
            received=f"{len(data)} bytes",
        ) from error
    width, height = image.size if framing == "whole" else (min(image.size),) * 2
    left, top = (image.width - width) / 2, (image.height - height) / 2
    box = (left, top, left + width, top + height)
    return np.asarray(image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=box))


def decode_batches(
    photos: Iterable[tuple[str, bytes]],
    size_px: int,
    batch_size: int,
    *,
    framing: Framing = "square",
    workers: int = WORKERS,
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Decode photos ahead of the consumer, in a few threads and in the order given.

    Args:
        photos: Pairs of image id and encoded bytes; at most `batch_size + 2 * workers` are in memory at a time.
        size_px: Side of the decoded photos in pixels.
        batch_size: Photos in a batch; the last batch may be smaller.
        framing: Which part of a photo is decoded.
        workers: Decoding threads.

    Yields:
        The ids of a batch and its photos as (n, size_px, size_px, 3) uint8, RGB.

    Raises:
        ImageError: If a photo cannot be decoded; the message starts with its id.
    """

    def decode(photo: tuple[str, bytes]) -> tuple[str, np.ndarray]:
        image_id, data = photo
        try:
            return image_id, decode_rgb(data, size_px, framing)
        except ImageError as error:
            raise ImageError(f"{image_id}: {error}") from error

    decoded = map_ahead(decode, photos, workers=workers)
    while batch := list(islice(decoded, batch_size)):
        yield [image_id for image_id, _ in batch], np.stack([pixels for _, pixels in batch])


def map_ahead(
    function: Callable[[_Item], _Result], items: Iterable[_Item], *, workers: int = WORKERS
) -> Iterator[_Result]:
    """Apply a function in threads, keep the order, and never take more than `2 * workers` items ahead."""
    waiting: deque[Future[_Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _unreadable(error: Exception) -> ImageError:
    truncated = "truncated" in str(error).lower()
    return ImageError("truncated" if truncated else f"damaged: {str(error) or type(error).__name__}")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data says nothing of the pixels: the photo counts as upright
        return 1
