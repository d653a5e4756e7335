"""A backbone names the ImageNet classes it sees in a photo."""

import io

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gender_pipeline.__main__ import main
from gender_pipeline.errors import ImageError, ZooError
from gender_pipeline.zoo import imagenet
from gender_pipeline.zoo.imagenet import classify_imagenet, imagenet_classes


def draw_photo(color: tuple[int, int, int] = (200, 30, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (80, 60), color).save(file, "PNG")
    return file.getvalue()


def test_there_are_a_thousand_different_classes_in_the_order_of_imagenet() -> None:
    classes = imagenet_classes()
    assert len(set(classes)) == len(classes) == 1000
    known = {0: "tench", 134: "crane (bird)", 517: "crane (machine)", 652: "military uniform", 999: "toilet tissue"}
    assert {index: classes[index] for index in known} == known


def test_each_photo_has_its_best_classes_with_falling_probabilities() -> None:
    answers = classify_imagenet("efficientnet_lite0", [draw_photo(), draw_photo((0, 0, 90))], top=1000)
    assert [len(answer) for answer in answers] == [1000, 1000]
    for answer in answers:
        probabilities = [probability for _, probability in answer]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-4)
    assert answers[0] != answers[1]


def test_a_photo_beside_another_has_the_answers_it_has_alone() -> None:
    together = classify_imagenet("efficientnet_lite0", [draw_photo((9, 99, 9)), draw_photo()])
    (alone,) = classify_imagenet("efficientnet_lite0", [draw_photo()])
    assert [name for name, _ in together[1]] == [name for name, _ in alone]


def test_the_classifier_of_keras_is_the_one_with_its_own_scaling_and_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from gender_pipeline.zoo import keras_applications

    original = keras.applications.ResNet50(weights=None)
    monkeypatch.setattr(imagenet, "keras_file", lambda *_: None)

    def load(application: str, pixels: object, file: object, *, top: bool) -> object:
        network = keras_applications.build_application(application, pixels, weights=file, top=top)
        network.set_weights(original.get_weights())
        return network

    monkeypatch.setattr(imagenet, "load_application", load)
    (answer,) = classify_imagenet("resnet50", [draw_photo()], top=1000)
    pixels = keras.applications.resnet50.preprocess_input(np.full((1, 224, 224, 3), (200, 30, 40), np.float32))
    expected = original.predict(pixels, verbose=0)[0]
    classes = imagenet_classes()
    found = np.float32([dict(answer)[name] for name in classes])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_backbone_that_never_saw_imagenet_is_refused() -> None:
    with pytest.raises(ZooError, match="vgg_face was not trained on ImageNet; choose another backbone"):
        classify_imagenet("vgg_face", [draw_photo()])


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ImageError, match="not an image"):
        classify_imagenet("efficientnet_lite0", [b"nothing"])


def test_the_command_prints_a_row_for_each_photo(tmp_path) -> None:
    for name in ("one.png", "two.png"):
        (tmp_path / name).write_bytes(draw_photo())
    answer = CliRunner().invoke(main, ["predict", "--imagenet", str(tmp_path / "one.png"), str(tmp_path / "two.png")])
    assert answer.exit_code == 0, answer.output
    rows = [line for line in answer.output.splitlines() if ".png" in line]
    assert [row.count("%") for row in rows] == [5, 5]


def test_the_command_names_the_file_that_is_no_image_in_one_line(tmp_path) -> None:
    (tmp_path / "one.png").write_bytes(draw_photo())
    (tmp_path / "notes.txt").write_text("no image")
    paths = [str(tmp_path / name) for name in ("one.png", "notes.txt")]
    answer = CliRunner().invoke(main, ["predict", "--imagenet", *paths])
    assert answer.exit_code == 1
    assert answer.output.count("\n") == 1
    assert "notes.txt" in answer.output


@pytest.mark.parametrize("arguments", [[], ["--imagenet"], ["--imagenet", "absent.jpg"]])
def test_the_command_without_photos_is_used_wrongly(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, ["predict", *arguments]).exit_code == 2


def test_the_command_has_help_with_an_example() -> None:
    answer = CliRunner().invoke(main, ["predict", "--help"])
    assert "gender-pipeline predict --imagenet" in answer.output
