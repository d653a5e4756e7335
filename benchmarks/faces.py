"""Faces: how many are found, how fast, and what crops do to the answers.

With ../shared/data/portraits (one face each, 256 px), else on drawn faces. Larger photos are made of them: one to three
on a noisy background of 1,000 to 4,000 px, lying on their sides where EXIF says so; and as many without any.

`MODEL=FOLDER python -m benchmarks faces` also answers the portraits with that model (a folder or an exported file) as
they are and cut, alone and somewhere on a photo of 1,600 x 1,200 px.
"""

import io
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import numpy as np
from PIL import Image

from gender_pipeline.export.predictor import Predictor, load_predictor
from gender_pipeline.images import faces
from gender_pipeline.images.decode import load_image, to_rgb
from gender_pipeline.images.faces import Box

PORTRAITS: Final = Path("../shared/data/portraits")
N_PHOTOS: Final = 200
N_LARGE: Final = 60
WORKING_PX: Final = ((640, 640), (1280, 1280), (640, 1280))  # looked at first, and then where nothing was found
MARGINS: Final = (1.3, 1.8, 2.4)
# Widths of faces in shares of the photo's longer side.
BINS: Final = ("over 1/8", "1/16 to 1/8", "under 1/16")
LYING: Final = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Scene:
    """An encoded photo, and the squares (left, top, side) in which its faces are."""

    data: bytes
    longer_px: int = 0
    squares: tuple[tuple[int, int, int], ...] = ()


def run() -> None:
    """Print what is found at each working size, then what a model answers where one is given."""
    portraits = _portraits()
    print(f"{len(portraits)} portraits; {N_LARGE} large photos with one to three of them, {N_LARGE} without any\n")
    _detection([Scene(portrait) for portrait in portraits], list(_scenes(portraits)), list(_scenes([])))
    if "MODEL" in os.environ and PORTRAITS.exists():
        _accuracy(load_predictor(Path(os.environ["MODEL"])), portraits)


def _detection(portraits: Sequence[Scene], large: Sequence[Scene], empty: Sequence[Scene]) -> None:
    boxes, _ = _cut_all(portraits)
    width = statistics.median(found[0][2] for found in boxes if found) / 256
    print(f"| looked at | portraits | a second | {' | '.join(BINS)} | no face there | in empty photos | a second |")
    print("|---|---|---|---|---|---|---|---|---|")
    for sizes in WORKING_PX:
        with mock.patch.object(faces, "_WORKING_PX", sizes):
            small, small_rate = _cut_all(portraits)
            found, rate = _cut_all(large)
            wrong, _ = _cut_all(empty)
        there, hit = _hits(large, found, width)
        shares = " | ".join(f"{hit[name]} of {there[name]}" for name in BINS)
        sides = ", then ".join(f"{size:,}" for size in dict.fromkeys(sizes))
        rest = f"{sum(map(len, found)) - hit.total()} | {sum(map(len, wrong))} | {rate:.0f}"
        print(f"| {sides} px | {sum(map(bool, small))} | {small_rate:.0f} | {shares} | {rest} |", flush=True)


def _cut_all(scenes: Sequence[Scene]) -> tuple[list[list[Box]], float]:
    """Return the boxes of each photo, and photos a second of one core's time, from bytes to crops."""
    faces.cut_faces(scenes[0].data)  # makes the detector
    start = time.process_time()
    boxes = [[crop.box for crop in faces.cut_faces(scene.data)] for scene in scenes]
    return boxes, len(scenes) / (time.process_time() - start)


def _hits(scenes: Sequence[Scene], found: Sequence[Sequence[Box]], width: float) -> tuple[Counter[str], Counter[str]]:
    """Count the faces there are and those found, by their width; a face is `width` of its portrait's side."""
    there: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    for scene, boxes in zip(scenes, found, strict=True):
        for square in scene.squares:
            share = width * square[2] / scene.longer_px
            name = BINS[(share < 1 / 8) + (share < 1 / 16)]
            there[name] += 1
            hit[name] += any(_inside(box, square) for box in boxes)
    return there, hit


def _inside(box: Box, square: tuple[int, int, int]) -> bool:
    left, top, side = square
    return 0 <= box[0] + box[2] / 2 - left <= side and 0 <= box[1] + box[3] / 2 - top <= side


def _scenes(portraits: Sequence[bytes]) -> Iterator[Scene]:
    """Make large photos; without portraits, of backgrounds alone."""
    random = np.random.default_rng(0 if portraits else 1)
    for number in range(N_LARGE):
        width, height = (int(side) for side in random.integers(1000, 4000, 2))
        photo = _background(random, width, height)
        squares = []
        n_faces = int(random.integers(1, 4)) if portraits else 0
        for at in range(n_faces):
            column = width // n_faces
            side = int(min(random.uniform(80, 1200), column, height))
            left = at * column + int(random.integers(0, column - side + 1))
            squares.append((left, int(random.integers(0, height - side + 1)), side))
            portrait = to_rgb(load_image(portraits[int(random.integers(len(portraits)))]))
            photo.paste(portrait.resize((side, side), Image.Resampling.BICUBIC), squares[-1][:2])
        yield Scene(_lying(photo, list(LYING)[number % len(LYING)]), max(width, height), tuple(squares))


def _background(random: np.random.Generator, width: int, height: int) -> Image.Image:
    """Mix patches of colour of two sizes."""
    layers = [Image.fromarray(random.integers(0, 256, (n, n, 3), dtype=np.uint8)) for n in (12, 150)]
    coarse, fine = (layer.resize((width, height), Image.Resampling.BICUBIC) for layer in layers)
    return Image.blend(coarse, fine, 0.3)


def _lying(photo: Image.Image, orientation: int) -> bytes:
    turn = LYING[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _jpeg(photo if turn is None else photo.transpose(turn), exif)


def _jpeg(photo: Image.Image, exif: Image.Exif | None = None) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=90, exif=exif or Image.Exif())
    return file.getvalue()


def _accuracy(predictor: Predictor, portraits: Sequence[bytes]) -> None:
    """Print the share of right labels, of all photos and of those where a face was found."""
    male = np.array([path.parent.name == "male" for path in _files()])
    cuts = " | ".join(f"cut at {margin} boxes" for margin in MARGINS)
    print(f"\n| photos | as they are | {cuts} |\n|---|---|{'---|' * len(MARGINS)}")
    for name, photos in {"portraits": list(portraits), "somewhere on a photo": _somewhere(portraits)}.items():
        as_they_are = _right(predictor, photos, male)
        shares = []
        for margin in MARGINS:
            with mock.patch.object(faces, "_MARGIN", margin):
                crops = [(crop[0].data if (crop := faces.cut_faces(photo)) else None) for photo in photos]
            found = np.array([crop is not None for crop in crops])
            shares.append(f"{_right(predictor, [crop for crop in crops if crop], male[found]):.1%} of {found.sum()}")
        print(f"| {name} | {as_they_are:.1%} | {' | '.join(shares)} |", flush=True)


def _right(predictor: Predictor, photos: Sequence[bytes], male: np.ndarray) -> float:
    answers = predictor.predict(photos)[:, predictor.class_names.index("male")] > 0.5
    return float((answers == male).mean())


def _somewhere(portraits: Sequence[bytes]) -> list[bytes]:
    random = np.random.default_rng(0)
    photos = []
    for portrait in portraits:
        photo = _background(random, 1600, 1200)
        side = int(random.integers(500, 900))
        place = (int(random.integers(0, 1600 - side)), int(random.integers(0, 1200 - side)))
        photo.paste(to_rgb(load_image(portrait)).resize((side, side), Image.Resampling.BICUBIC), place)
        photos.append(_jpeg(photo))
    return photos


def _files() -> list[Path]:
    return sorted(PORTRAITS.glob("*/*.jpg"))[:N_PHOTOS]


def _portraits() -> list[bytes]:
    files = _files()
    if not files:
        print(f"{PORTRAITS} is not there: drawn faces stand in, of which the detector misses some")
    read: Callable[[int], bytes] = (lambda number: files[number].read_bytes()) if files else _drawn
    return [read(number) for number in range(len(files) or N_PHOTOS)]


def _drawn(seed: int) -> bytes:
    from gender_pipeline.sources.canvas import Frame
    from gender_pipeline.sources.drawing import draw_photo
    from gender_pipeline.sources.portrait import sample_person, sample_scene

    person = sample_person(np.random.default_rng(seed), ("female", "male")[seed % 2])
    return draw_photo(person, sample_scene(np.random.default_rng(seed + 1)), Frame(256, 256, 128, 128, 66))
