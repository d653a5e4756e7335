"""Faces: how many are found, how fast, and what crops do to the answers.

With ../shared/data/portraits (one face each, 256 px), else on drawn faces. Larger photos are made of them: one at a
random place and size on a plain background.
"""

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from gender_pipeline.images import faces
from gender_pipeline.images.decode import load_image, to_rgb

PORTRAITS: Final = Path("../shared/data/portraits")
N_PHOTOS: Final = 200
WORKING_PX: Final = ((480,), (640,), (1280,), (640, 1280))


def run() -> None:
    """Print detection rate, faces found too many, and photos a second for each working size."""
    portraits = _portraits()
    large = _on_large_photos(portraits)
    print(f"{len(portraits)} portraits, then each on a photo of 1,000 to 4,000 px, its side 1/8 to 1/2 of the photo's")
    print("| longer side looked at | portraits found | a second | large photos found | too many | a second |")
    print("|---|---|---|---|---|---|")
    chosen = faces._WORKING_PX
    for size_px in WORKING_PX:
        faces._WORKING_PX = size_px  # type: ignore[misc]
        small_found, _, small_rate = _measure(portraits)
        found, more, rate = _measure(large)
        sides = " px, then ".join(map(str, size_px)) + " px" + (" (chosen)" if size_px == chosen else "")
        print(f"| {sides} | {small_found} | {small_rate:.0f} | {found} | {more} | {rate:.0f} |")
    faces._WORKING_PX = chosen  # type: ignore[misc]


def _measure(photos: Sequence[Image.Image]) -> tuple[int, int, float]:
    """Return photos with a face, faces beyond the first, and photos a second."""
    faces.find_faces(photos[0])  # makes the detector
    start = time.perf_counter()
    counts = [len(faces.find_faces(photo)) for photo in photos]
    seconds = time.perf_counter() - start
    return sum(map(bool, counts)), sum(max(0, count - 1) for count in counts), len(photos) / seconds


def _portraits() -> list[Image.Image]:
    files = sorted(PORTRAITS.glob("*/*.jpg"))
    read: Callable[[int], bytes] = (lambda number: files[number].read_bytes()) if files else _drawn
    return [to_rgb(load_image(read(number))) for number in range(len(files[:N_PHOTOS]) or N_PHOTOS)]


def _drawn(seed: int) -> bytes:
    from gender_pipeline.sources.canvas import Frame
    from gender_pipeline.sources.drawing import draw_photo
    from gender_pipeline.sources.portrait import sample_person, sample_scene

    person = sample_person(np.random.default_rng(seed), ("female", "male")[seed % 2])
    return draw_photo(person, sample_scene(np.random.default_rng(seed + 1)), Frame(256, 256, 128, 128, 66))


def _on_large_photos(portraits: Sequence[Image.Image]) -> list[Image.Image]:
    random = np.random.default_rng(0)
    photos = []
    for portrait in portraits:
        width, height = (int(side) for side in random.integers(1000, 4000, 2))
        side = int(max(width, height) * random.uniform(1 / 8, 1 / 2))
        side = min(side, width, height)
        photo = Image.new("RGB", (width, height), tuple(int(value) for value in random.integers(60, 200, 3)))
        place = (int(random.integers(0, width - side + 1)), int(random.integers(0, height - side + 1)))
        photo.paste(portrait.resize((side, side), Image.Resampling.BICUBIC), place)
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=90)
        photos.append(to_rgb(load_image(file.getvalue())))
    return photos
