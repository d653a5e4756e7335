"""Pen and paper of the built-in sample: smooth shapes in face units, drawn through a scene's pose; backdrop and light.

Face units: the origin lies between the eyes, x grows to the right, y downwards, the chin is about one unit below. A
depth in [-1, 1] moves a part sideways when the head turns, so that a turn looks like one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from gender_pipeline.sources.portrait import Colour, Scene, mix, shade

Points = Sequence[tuple[float, float]] | np.ndarray
_GRAIN_PX: Final = 512


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the face stands in a photo: size, the point between the eyes, and the length of a face unit, in pixels."""

    width_px: int
    height_px: int
    eyes_x_px: float
    eyes_y_px: float
    unit_px: float


class Pose:
    """Maps face units to pixels.

    Args:
        scene: Turn, tilt, size and place of the head.
        frame: Place of the face in the photo.
        supersampling: Image pixels per pixel of the frame.
    """

    def __init__(self, scene: Scene, frame: Frame, supersampling: int = 1) -> None:
        angle = math.radians(scene.roll)
        self.unit_px = frame.unit_px * scene.scale * supersampling
        self._yaw = scene.yaw
        self._turn = self.unit_px * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        eyes = np.array([frame.eyes_x_px, frame.eyes_y_px]) * supersampling
        self._origin = eyes + self.unit_px * np.array([scene.shift_x, scene.shift_y])

    def pixels(self, points: Points, depth: float) -> np.ndarray:
        """Move points (N, 2) in face units to pixels (N, 2), float64."""
        moved = np.array(points, float)
        # The face bulges: its middle moves farther than its sides.
        moved[:, 0] += 0.22 * self._yaw * depth * (1 - 0.4 * np.minimum(np.square(moved[:, 0]), 1))
        return moved @ self._turn + self._origin


class Canvas:
    """Draws in face units onto an image, through one pose."""

    def __init__(self, image: Image.Image, scene: Scene, pose: Pose) -> None:
        self.scene = scene
        self._pose = pose
        self._draw = ImageDraw.Draw(image)

    def fill(self, points: Points, colour: Colour, depth: float = 0.0, *, smooth: int = 6) -> None:
        """Fill a closed outline; `smooth` points are set between each two of `points` (0: straight edges)."""
        outline = closed_curve(points, smooth) if smooth else points
        self._draw.polygon(self._pose.pixels(outline, depth).ravel().tolist(), fill=colour)

    def fill_pair(self, points: Points, colour: Colour, depth: float = 0.0, *, smooth: int = 6) -> None:
        """Fill an outline and its mirror image."""
        self.fill(points, colour, depth, smooth=smooth)
        self.fill(mirror(points), colour, depth, smooth=smooth)

    def line(self, points: Points, colour: Colour, width: float, depth: float = 0.0) -> None:
        """Draw an open smooth line, `width` face units wide."""
        path = _open_basis(len(points), 6) @ np.asarray(points, float)
        width_px = max(1, round(width * self._pose.unit_px))
        self._draw.line(self._pose.pixels(path, depth).ravel().tolist(), fill=colour, width=width_px, joint="curve")

    def line_pair(self, points: Points, colour: Colour, width: float, depth: float = 0.0) -> None:
        """Draw a line and its mirror image."""
        self.line(points, colour, width, depth)
        self.line(mirror(points), colour, width, depth)

    def oval(self, centre: tuple[float, float], radii: tuple[float, float], colour: Colour, depth: float = 0.0) -> None:
        """Fill an ellipse."""
        self.fill(circle() * radii + centre, colour, depth, smooth=0)

    def oval_pair(
        self, centre: tuple[float, float], radii: tuple[float, float], colour: Colour, depth: float = 0.0
    ) -> None:
        """Fill an ellipse and its mirror image."""
        self.fill_pair(circle() * radii + centre, colour, depth, smooth=0)


def mirror(points: Points) -> np.ndarray:
    """Mirror points (N, 2) left to right."""
    return np.asarray(points, float) * (-1, 1)


def both(half: Points) -> np.ndarray:
    """Close a right half, listed from the middle of the top to the middle of the bottom, with its mirror image."""
    right = np.asarray(half, float)
    return np.concatenate([right, mirror(right[-2:0:-1])])


def closed_curve(points: Points, steps: int) -> np.ndarray:
    """Lay a closed Catmull-Rom curve through points (N, 2); gives (N * steps, 2)."""
    curve: np.ndarray = _closed_basis(len(points), steps) @ np.asarray(points, float)
    return curve


@lru_cache
def circle() -> np.ndarray:
    """Give 28 points (28, 2) of the unit circle."""
    angles = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


# The curve weights depend on the number of points alone: computed once, a curve is one small matrix product.
@lru_cache
def _closed_basis(n_points: int, steps: int) -> np.ndarray:
    rows = np.zeros((n_points * steps, n_points))
    for row in range(len(rows)):
        for offset, weight in enumerate(_catmull_rom(row % steps / steps)):
            rows[row, (row // steps + offset - 1) % n_points] += weight
    return rows


@lru_cache
def _open_basis(n_points: int, steps: int) -> np.ndarray:
    rows = np.zeros(((n_points - 1) * steps + 1, n_points))
    for row in range(len(rows)):
        for offset, weight in enumerate(_catmull_rom(row % steps / steps)):
            rows[row, min(max(row // steps + offset - 1, 0), n_points - 1)] += weight
    return rows


def _catmull_rom(t: float) -> tuple[float, float, float, float]:
    """Weigh the four points around a stretch of the curve, `t` in [0, 1) along it."""
    return (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (t**3 - t**2) / 2,
    )


def paint_backdrop(image: Image.Image, scene: Scene) -> None:
    """Paint what is behind the person."""
    kind, first, second = scene.backdrop
    image.paste(first, (0, 0, *image.size))
    _BACKDROPS[kind](ImageDraw.Draw(image), scene.numbers, (first, second), image.size)


def _paint_plain(
    draw: ImageDraw.ImageDraw, numbers: tuple[float, ...], colours: tuple[Colour, Colour], size: tuple[int, int]
) -> None:
    width, height = size
    draw.rectangle((0, (0.5 + 0.4 * numbers[0]) * height, width, height), fill=mix(*colours, 0.5))


def _paint_circles(
    draw: ImageDraw.ImageDraw, numbers: tuple[float, ...], colours: tuple[Colour, Colour], size: tuple[int, int]
) -> None:
    for x, y, r in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
        centre_x, centre_y, radius = x * size[0], y * size[1], (0.04 + 0.12 * r) * size[0]
        box = (centre_x - radius, centre_y - radius, centre_x + radius, centre_y + radius)
        draw.ellipse(box, fill=mix(*colours, 0.2 + 0.6 * r))


def _paint_hills(
    draw: ImageDraw.ImageDraw, numbers: tuple[float, ...], colours: tuple[Colour, Colour], size: tuple[int, int]
) -> None:
    width, height = size
    for layer in range(3):
        base = 0.32 + 0.18 * layer
        points = [(x * width / 6, (base + 0.25 * numbers[layer * 7 + x]) * height) for x in range(7)]
        draw.polygon([*points, (width, height), (0, height)], fill=mix(*colours, 0.65 + 0.17 * layer))


def _paint_shelf(
    draw: ImageDraw.ImageDraw, numbers: tuple[float, ...], colours: tuple[Colour, Colour], size: tuple[int, int]
) -> None:
    width, height = size
    for row in range(4):
        top, left = 0.3 * row * height, 0.0
        for book in range(6):
            right = left + (0.1 + 0.19 * numbers[row * 6 + book]) * width
            book_top = top + 0.07 * height * numbers[book * 4 + row]
            draw.rectangle(
                (left, book_top, right - 2, top + 0.26 * height), fill=mix(*colours, numbers[(row * 6 + book * 5) % 24])
            )
            left = right


def _paint_window(
    draw: ImageDraw.ImageDraw, numbers: tuple[float, ...], colours: tuple[Colour, Colour], size: tuple[int, int]
) -> None:
    width, height = size
    left, top = (numbers[0] - 0.3) * width, (numbers[1] - 0.4) * 0.5 * height
    sash, bottom = shade(colours[0], 0.8), top + 0.7 * height
    draw.rectangle((left, top, left + 0.6 * width, bottom), fill=shade(colours[1], 1.25), outline=sash, width=6)
    draw.line((left + 0.3 * width, top, left + 0.3 * width, bottom), fill=sash, width=6)


_BACKDROPS: Final = {
    "plain": _paint_plain,
    "circles": _paint_circles,
    "hills": _paint_hills,
    "shelf": _paint_shelf,
    "window": _paint_window,
}


def expose(image: Image.Image, scene: Scene) -> Image.Image:
    """Apply the scene's focus, light, warmth and grain."""
    if scene.blur_px > 0.3:
        image = image.filter(ImageFilter.GaussianBlur(scene.blur_px))
    brightness, across, down = scene.light
    x, y = _ramps(*image.size)
    tint = np.array([1 + scene.warmth, 1, 1 - scene.warmth], np.float32) * np.float32(brightness)
    pixels = np.asarray(image) * ((1 + np.float32(across) * x + np.float32(down) * y) * tint)
    n_pixels = image.width * image.height
    start = scene.noise_seed % (_GRAIN_PX**2 - n_pixels)
    pixels += np.float32(scene.noise) * _grain()[start : start + n_pixels].reshape(image.height, image.width, 1)
    np.clip(pixels, 0, 255, out=pixels)
    return Image.fromarray(pixels.astype(np.uint8))


@lru_cache(maxsize=8)
def _ramps(width_px: int, height_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the ramps -0.5 to 0.5 along x (1, W, 1) and y (H, 1, 1), float32."""
    x = np.linspace(-0.5, 0.5, width_px, dtype=np.float32)[None, :, None]
    y = np.linspace(-0.5, 0.5, height_px, dtype=np.float32)[:, None, None]
    return x, y


@lru_cache(maxsize=1)
def _grain() -> np.ndarray:
    """Give standard normal grain, float32 (_GRAIN_PX**2,)."""
    # Drawn once: fresh grain for each photo would take a third of the photo's time.
    return np.random.default_rng(0).standard_normal(_GRAIN_PX**2, np.float32)
