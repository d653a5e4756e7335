"""The command that answers photos."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from drawn_faces import encoded, group
from gender_pipeline.__main__ import main
from gender_pipeline.commands import predict as command
from gender_pipeline.export import predictor as predictors
from gender_pipeline.export.predictor import Predictor
from lamp_models import lamp_file


def brightness(pixels: np.ndarray) -> np.ndarray:
    light = pixels.mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - light, light], axis=1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 30), "white").save(tmp_path / "photos" / "white.png")
    (tmp_path / "photos" / "text.jpg").write_text("no photo")
    (tmp_path / "photos" / "two.jpg").write_bytes(encoded(group([(20, 20), (500, 200)])))
    return tmp_path / "photos"


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = tmp_path / "model.onnx"
    model.touch()
    by_light = Predictor(brightness, ("dark", "light"), image_size_px=32)
    monkeypatch.setattr(predictors, "load_predictor", lambda path: {model: by_light}[path])

    def invoke(*words: str | Path) -> Result:
        return CliRunner().invoke(main, ["predict", "--model", str(model), *map(str, words)])

    return invoke


def test_the_table_has_a_line_a_photo_and_a_summary_that_says_what_a_label_means(call, photos: Path) -> None:
    answer = call(photos)
    assert answer.exit_code == 0
    text, two, white = answer.stdout.splitlines()
    assert text == f"{photos}/text.jpg  not an image: neither JPEG, PNG, BMP nor WebP"
    assert two.startswith(f"{photos}/two.jpg  light ")
    assert white == f"{photos}/white.png  light 100.0%, dark 0.0%"
    assert "3 photos" in answer.stderr
    assert "2 answers (2 light), 0 without a face, 1 not readable" in answer.stderr
    assert command.MEANING in answer.stderr


def test_faces_are_looked_for_on_demand(call, photos: Path) -> None:
    two = [line for line in call(photos, "--crop", "face").stdout.splitlines() if "two.jpg" in line]
    assert [line.split("  ")[1].split(" at ")[0] for line in two] == ["face 1", "face 2"]


def test_json_on_the_standard_output_is_nothing_but_json(call, photos: Path) -> None:
    lines = [json.loads(line) for line in call(photos, "--output", "json").stdout.splitlines()]
    assert [Path(line["photo"]).name for line in lines] == ["text.jpg", "two.jpg", "white.png"]


@pytest.mark.parametrize("output", ["table", "json", "csv", "parquet"])
def test_a_file_gets_everything_and_the_summary_says_where(call, photos: Path, tmp_path: Path, output: str) -> None:
    answer = call(photos, "--output", output, "--to", tmp_path / "answers")
    assert answer.stdout == ""
    assert f"in {tmp_path / 'answers'}" in answer.stderr
    assert (tmp_path / "answers").stat().st_size > 100


def test_photos_of_which_none_is_answered_end_with_one(call, photos: Path) -> None:
    assert call(photos / "text.jpg").exit_code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Missing argument 'PATH...'"),
        (("absent.jpg",), "Path 'absent.jpg' does not exist"),
        ((".", "--output", "parquet"), "--output parquet needs --to FILE"),
        ((".", "--model", "gone.onnx"), "'gone.onnx' is no file, and neither NAME@ALIAS nor NAME/VERSION"),
        ((".", "--crop", "nose"), "'nose' is not one of"),
    ],
)
def test_wrong_use_ends_with_two_and_says_what_is_wrong(words: tuple[str, ...], said: str) -> None:
    answer = CliRunner().invoke(main, ["predict", *words])
    assert answer.exit_code == 2
    assert said in answer.stderr


def test_a_file_that_is_no_model_is_one_line(photos: Path) -> None:
    answer = CliRunner().invoke(main, ["predict", str(photos), "--model", str(photos / "text.jpg")])
    assert answer.exit_code == 1
    assert "expected an exported file with model.json beside it" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_an_exported_file_needs_neither_kedro_nor_mlflow_nor_tensorflow(photos: Path, tmp_path: Path) -> None:
    program = f"""
import sys
from click.testing import CliRunner
from gender_pipeline.__main__ import main
answer = CliRunner().invoke(main, ["predict", {str(photos)!r}, "--model", {str(lamp_file(tmp_path))!r}])
assert "white.png  light 100.0%, dark 0.0%" in answer.stdout, answer.output
heavy = {{"kedro", "mlflow", "tensorflow", "keras", "pandas", "sklearn", "great_expectations"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)
