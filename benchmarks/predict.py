"""`predict` over 1,000 photos: a second, as a share of decoding and network alone in the same run, and its start-up.

With MUCT's photos where there are any, which are whole ones of 480 x 640 px, else with the drawn sample's. The network
is that of the quickstart with an untrained head, which takes as long as a trained one.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from gender_pipeline.export.predictor import BATCH_SIZE, Crop, Predictor, load_predictor
from gender_pipeline.export.settings import ExportSettings, Tolerance
from gender_pipeline.export.tables import rows_writer, score
from gender_pipeline.export.write import describe, write_exports
from gender_pipeline.images.decode import map_ahead
from gender_pipeline.recipes import Recipe
from gender_pipeline.sources import SourceSettings, read_photos
from gender_pipeline.sources.sample import SampleSettings, draw_sample
from gender_pipeline.training import TrainedModel
from gender_pipeline.training.network import build_network, cut_layer
from gender_pipeline.zoo import weights_digest

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"
N_PHOTOS = 1000
STARTS = 3
CROPS: tuple[Crop, ...] = ("none", "face")
RECIPE = Recipe(
    name="bench",
    backbone="efficientnet_lite0",
    image_size_px=160,
    head={"hidden_units": (512,), "dropout": 0.5},
    optimizer={"learning_rate": 0.001},
    epochs=1,
    batch_size=1,
    patience=1,
    seed=0,
)


def run() -> None:
    """Print photos a second for each kind of model and crop, then the start-up of the command for each kind."""
    with TemporaryDirectory() as scratch:
        photos, models = _photos(Path(scratch)), _models(Path(scratch))
        paths = sorted(photos.iterdir())
        print(f"{len(paths)} photos; a second\n")
        print("| model | crop | predict | decode and crop alone | network alone | predict as a share of the two |")
        print("|---|---|---|---|---|---|")
        for name, path in models.items():
            predictor = load_predictor(path)
            for crop in CROPS:
                _print_row(name, crop, predictor, photos)
        print("\n| model | seconds from start to the answer of one photo | command's own imports and model |")
        print("|---|---|---|")
        bare = _start(["--version"])
        for name, path in models.items():
            seconds = _start(["predict", str(paths[0]), "--model", str(path), "--crop", "none"])
            print(f"| {name} | {seconds:.2f} | {seconds - bare:.2f} |")


def _print_row(name: str, crop: Crop, predictor: Predictor, photos: Path) -> None:
    data = [path.read_bytes() for path in sorted(photos.iterdir())]
    predictor.answer_prepared([predictor.prepare(photo, crop=crop) for photo in data[:BATCH_SIZE]])  # warm

    def whole() -> None:
        with rows_writer("csv", photos.with_suffix(".csv"), predictor.class_names) as write:
            score(predictor, [photos], write, crop=crop)

    prepared = []
    decode_s = _seconds(lambda: prepared.extend(map_ahead(lambda photo: predictor.prepare(photo, crop=crop), data)))
    pixels = np.concatenate([photo.pixels for photo in prepared])
    network_s, whole_s = _seconds(lambda: predictor.classify(pixels)), _seconds(whole)
    rates = " | ".join(f"{len(data) / seconds:.0f}" for seconds in (whole_s, decode_s, network_s))
    print(f"| {name} | {crop} | {rates} | {(decode_s + network_s) / whole_s:.0%} |")


def _start(words: list[str]) -> float:
    command = [str(Path(sys.executable).with_name("gender-pipeline")), *words]
    return median(_seconds(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(STARTS))


def _photos(scratch: Path) -> Path:
    root = REAL_DATA
    if not root.is_dir():
        root = scratch / "raw"
        draw_sample(SampleSettings(), root)
    photos = (photo for photo in read_photos(root, SourceSettings(reader="muct", folder="muct")) if photo.data)
    folder = scratch / "photos"
    folder.mkdir()
    for number, photo in enumerate(islice(photos, N_PHOTOS)):
        (folder / f"{number:04}.jpg").write_bytes(photo.data)
    return folder


def _models(scratch: Path) -> dict[str, Path]:
    network = build_network(RECIPE, 2)
    model = TrainedModel(network, RECIPE, ("female", "male"), cut_layer(RECIPE, "head"), weights_digest(network))
    model.save(scratch / "model")
    nothing = np.empty((0, RECIPE.image_size_px, RECIPE.image_size_px, 3), np.uint8)
    about = describe(model, name="bench", version="", commit="")
    anything = Tolerance(equal_labels=0, probability_difference=1, accuracy_loss=1)
    tolerances = dict.fromkeys(("keras", "onnx", "float32"), anything)
    settings = ExportSettings(formats=("onnx", "float32"), tolerances=tolerances)
    write_exports(
        scratch / "export", model_folder=scratch / "model", settings=settings, photos=nothing, about=about, card=""
    )
    files = {".onnx": "model.onnx", ".tflite": "float32.tflite"}
    return {"Keras": scratch / "model", **{name: scratch / "export" / file for name, file in files.items()}}


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
