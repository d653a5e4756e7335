"""All formats of a tiny network: written, loaded, compared, published, and run by the scripts beside them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exported import saved, tiny_trained
from gender_pipeline.errors import ExportError
from gender_pipeline.export import write
from gender_pipeline.export.compare import check_exports, compare_exports
from gender_pipeline.export.convert import write_litert
from gender_pipeline.export.labelled import LabelledPhotos
from gender_pipeline.export.networks import EXPORT_FILE, folder_digest, load_network
from gender_pipeline.export.predictor import Predictor, load_predictor
from gender_pipeline.export.settings import FILES, KERAS, ExportSettings, Tolerance
from gender_pipeline.files import file_digest
from gender_pipeline.training import TrainedModel

EXACT = Tolerance(equal_labels=1, probability_difference=0.001, accuracy_loss=0)
ROUGH = Tolerance(equal_labels=0.9, probability_difference=0.2, accuracy_loss=0.1)
TOLERANCES = {name: ROUGH if name in ("float16", "dynamic", "int8") else EXACT for name in (KERAS, *FILES)}
SETTINGS = ExportSettings(repeats=1, tolerances=TOLERANCES)


@dataclass
class World:
    """An export and what it was made of."""

    folder: Path
    model_folder: Path
    model: TrainedModel
    photos: LabelledPhotos


def some_photos(n_photos: int, seed: int = 0) -> LabelledPhotos:
    """Return photos of one colour each and some noise, labelled by chance."""
    random = np.random.default_rng(seed)
    colours = random.integers(20, 230, (n_photos, 1, 1, 3))
    pixels = (colours + random.integers(-20, 20, (n_photos, 32, 32, 3))).astype(np.uint8)
    return LabelledPhotos(pixels, random.integers(0, 2, n_photos))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        model = tiny_trained(patch)
    model_folder = saved(model, folder / "model")
    about = write.describe(model, name="tiny", version="7", commit="c0ffee")
    inputs = {"model_folder": model_folder, "settings": SETTINGS, "photos": some_photos(8, seed=1).pixels}
    write.write_exports(folder / "unchecked", about=about, card="# tiny\n", **inputs)
    # A copy goes all the way, so that both states can be looked at.
    shutil.copytree(folder / "unchecked", folder / "checked")
    write.publish(folder / "exports", checked=folder / "checked", pages={"comparison.json": "{}\n"})
    return World(folder / "exports", model_folder, model, some_photos(64))


def photo(path: Path, size: tuple[int, int], kind: str, orientation: int = 1) -> Path:
    """Draw a photo that is another one when it is turned or cut elsewhere."""
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    pixels = np.stack([rows * 200 // size[1], columns * 200 // size[0], (rows + columns) % 90 + 40], axis=-1)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels.astype(np.uint8)).save(path, kind, exif=exif)
    return path


def test_every_format_lies_beside_its_description(world: World) -> None:
    names = {path.name for path in world.folder.iterdir()}
    assert names == {
        *FILES.values(), *write.SCRIPTS, EXPORT_FILE, "labels.txt", "model_card.md", "comparison.json", "SHA256SUMS",
    }  # fmt: skip
    about = json.loads((world.folder / EXPORT_FILE).read_text())
    assert (about["name"], about["version"], about["commit"]) == ("tiny", "7", "c0ffee")
    assert about["weights_digest"] == world.model.weights_digest
    assert about["files"]["model.onnx"] == file_digest(world.folder / "model.onnx")
    assert about["files"]["saved_model"] == folder_digest(world.folder / "saved_model")
    assert "centre square -> 32 x 32 px" in about["preprocessing"]
    assert (world.folder / "labels.txt").read_text() == "female\nmale\n"


def test_the_sums_are_those_that_sha256sum_checks(world: World) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=world.folder, check=True)
    listed = {line.split("  ", 1)[1] for line in (world.folder / "SHA256SUMS").read_text().splitlines()}
    files = {path.relative_to(world.folder).as_posix() for path in world.folder.rglob("*") if path.is_file()}
    assert listed == files - {"SHA256SUMS"}


@pytest.mark.parametrize("name", FILES.values())
@pytest.mark.parametrize("n_photos", [1, 3])
def test_each_runtime_answers_batches_of_any_size_as_keras_does(world: World, name: str, n_photos: int) -> None:
    pixels = world.photos.pixels[:n_photos]
    found = load_predictor(world.folder / name)
    expected = Predictor.of(world.model).classify(pixels)
    tolerance = 1e-4 if name in ("saved_model", "model.onnx", "float32.tflite") else 0.1
    np.testing.assert_allclose(found.classify(pixels), expected, atol=tolerance)
    assert found.class_names == world.model.class_names


def test_the_more_operations_stay_in_float32_the_closer_int8_is_to_the_model(world: World, tmp_path: Path) -> None:
    expected = Predictor.of(world.model).classify(world.photos.pixels)
    off = []
    for share in (0.0, 0.9):
        path = tmp_path / f"{share}.tflite"
        photos = world.photos.pixels[:8]
        write_litert(world.folder / "saved_model", path, "int8", photos=photos, float_share=share)
        off.append(np.abs(load_network(path)(world.photos.pixels.astype(np.float32)) - expected).mean())
    assert off[1] < 0.8 * off[0]


def test_the_answers_are_not_all_the_same(world: World) -> None:
    """Without this the tests of agreement would prove nothing."""
    answers = Predictor.of(world.model).classify(world.photos.pixels)
    assert 0.1 < answers.argmax(axis=1).mean() < 0.9


def test_every_format_within_its_tolerance_passes(world: World) -> None:
    compared = compare_exports(world.model, world.folder, world.photos, SETTINGS)
    assert list(compared) == [KERAS, *FILES]
    assert compared["onnx"]["equal_labels"] == 1.0
    assert compared["onnx"]["accuracy"] == compared[KERAS]["accuracy"]
    assert compared["float32"]["size_bytes"] == (world.folder / "float32.tflite").stat().st_size
    assert all(
        row["latency_1_ms"] > 0 and row["latency_32_ms"] > 0 and row["photos"] == 64 for row in compared.values()
    )
    check_exports(compared, SETTINGS)


def test_an_export_of_other_weights_is_refused(world: World) -> None:
    with pytest.MonkeyPatch.context() as patch:
        other = tiny_trained(patch, head={"output": "sigmoid"})
    with pytest.raises(ExportError, match=r"is of another model .*; expected weights digest .*export again"):
        compare_exports(other, world.folder, world.photos, SETTINGS)


def test_an_export_whose_weights_are_perturbed_fails_the_gate(world: World, tmp_path: Path) -> None:
    folder = shutil.copytree(world.folder, tmp_path / "perturbed")
    data = bytearray((folder / "float32.tflite").read_bytes())
    kernel = world.model.network.get_layer("logits").get_weights()[0].T.tobytes()
    at = bytes(data).index(kernel)
    data[at : at + len(kernel)] = np.frombuffer(kernel, np.float32)[::-1].tobytes()
    (folder / "float32.tflite").write_bytes(data)
    about = json.loads((folder / EXPORT_FILE).read_text())
    about["files"]["float32.tflite"] = file_digest(folder / "float32.tflite")
    (folder / EXPORT_FILE).write_text(json.dumps(about))
    settings = SETTINGS.model_copy(update={"formats": ("onnx", "float32")})
    compared = compare_exports(world.model, folder, world.photos, settings)
    with pytest.raises(ExportError, match=r"1 of 3 formats .*expected \[float32: at least 100.00% equal labels\]"):
        check_exports(compared, settings)


SCRIPT_CALLS = [["run_onnx.py"], ["run_saved_model.py"], ["run_litert.py", "float32.tflite"]]


@pytest.mark.parametrize("call", SCRIPT_CALLS, ids=lambda call: call[0])
def test_a_script_as_written_answers_photos_as_the_predictor_does(
    world: World, tmp_path: Path, call: list[str]
) -> None:
    photos = [
        photo(tmp_path / "turned.jpg", (90, 61), "JPEG", orientation=6),
        photo(tmp_path / "flat.png", (40, 200), "PNG"),
    ]
    # -I: from any folder, with nothing of this project on the path but what is installed.
    command = [sys.executable, "-I", str(world.folder / call[0]), *call[1:], *map(str, photos)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    expected = load_predictor(world.folder / "model.onnx").predict([path.read_bytes() for path in photos])
    for line, path, row in zip(done.stdout.strip().splitlines(), photos, expected, strict=True):
        name, *answers = line.split()
        assert name == str(path)
        found = dict(answer.split("=") for answer in answers)
        assert list(found) == ["female", "male"]
        np.testing.assert_allclose([float(p) for p in found.values()], row, atol=1e-3)


@pytest.mark.parametrize("script", write.SCRIPTS)
def test_a_script_is_short_and_knows_nothing_of_this_project(script: str) -> None:
    text = (Path(write.__file__).parent / "scripts" / script).read_text()
    assert "gender_pipeline" not in text
    assert len([line for line in text.splitlines() if line.strip()]) <= 25


def test_a_converter_that_refuses_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"exported as onnx; .*received ValueError: .*'a layer'; leave onnx out"):
        write._run_apart({"onnx": partial(int, "a layer")}, tmp_path / "log")


def test_a_converter_that_ends_its_process_is_an_error_and_no_end_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"exported as int8; .*received the end of its process"):
        write._run_apart({"int8": os.abort}, tmp_path / "log")


def test_a_failed_export_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    (folder / "old").touch()
    monkeypatch.setattr(write, "_convert", lambda *_: int("no number"))
    about = write.describe(world.model, name="tiny", version="7", commit="")
    with pytest.raises(ValueError, match="no number"):
        write.write_exports(
            folder, model_folder=world.model_folder, settings=SETTINGS, photos=world.photos.pixels, about=about, card=""
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["exports", "old"]
