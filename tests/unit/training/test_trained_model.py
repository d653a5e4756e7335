"""The trained model on disk, and its answers through the cache."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gender_pipeline.errors import ExportError
from gender_pipeline.export.predictor import Predictor
from gender_pipeline.files import file_digest
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, TrainedModel, predict_photos
from gender_pipeline.training.engine import build_network, cut_layer
from gender_pipeline.zoo import weights_digest

CLASSES = ("female", "male")


def untrained(recipe: Recipe) -> TrainedModel:
    network = build_network(recipe, 2)
    return TrainedModel(network, recipe, CLASSES, cut_layer(recipe, recipe.trainable), weights_digest(network))


@pytest.fixture
def model(recipe: Recipe) -> TrainedModel:
    return untrained(recipe)


@pytest.fixture
def folder(model: TrainedModel, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder: Path, **fields: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_model_comes_back_as_it_was_saved(model: TrainedModel, folder: Path) -> None:
    loaded = TrainedModel.load(folder)
    assert (loaded.recipe, loaded.class_names, loaded.cut_layer) == (model.recipe, CLASSES, "pooled")
    assert weights_digest(loaded.network) == loaded.weights_digest == model.weights_digest
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(loaded.network(pixels), model.network(pixels), atol=1e-6)


def test_the_folder_says_in_words_what_happens_to_a_photo(folder: Path) -> None:
    content = json.loads((folder / "model.json").read_text())
    assert "32 x 32 px" in content["preprocessing"]
    assert content["class_names"] == ["female", "male"]
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "network.keras"]


def test_saving_replaces_an_earlier_model(recipe: Recipe, folder: Path) -> None:
    (folder / "leftover").touch()
    other = untrained(recipe)
    other.save(folder)
    assert TrainedModel.load(folder).weights_digest == other.weights_digest
    assert not (folder / "leftover").exists()


def test_a_save_that_fails_leaves_the_earlier_model(model: TrainedModel, folder: Path) -> None:
    broken = TrainedModel(model.network, model.recipe, ("one",), model.cut_layer, model.weights_digest)
    with pytest.raises(ValueError, match="class_names"):
        broken.save(folder)
    assert TrainedModel.load(folder).weights_digest == model.weights_digest
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot load the model nothing; expected a folder with model.json"):
        TrainedModel.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("content", "place"),
    [(b"{", "the file: Invalid JSON"), (b"\xff\xfe", "the file: Invalid JSON"), (b"[]", "the file: Input should be")],
)
def test_a_description_that_is_not_json_is_an_error(folder: Path, content: bytes, place: str) -> None:
    (folder / "model.json").write_bytes(content)
    with pytest.raises(ExportError, match=f"expected a valid model.json; received {place}"):
        TrainedModel.load(folder)


@pytest.mark.parametrize(
    ("fields", "received"),
    [
        ({"shell": "rm"}, "shell: Extra inputs"),
        ({"recipe": {}}, "recipe.name: Field required"),
        ({"class_names": ["one"]}, "class_names: Tuple should have at least 2"),
        ({"cut_layer": 3}, "cut_layer: Input should be a valid string"),
    ],
)
def test_an_unknown_key_or_a_wrong_value_is_an_error(folder: Path, fields: dict[str, Any], received: str) -> None:
    rewrite(folder, **fields)
    with pytest.raises(ExportError, match=f"expected a valid model.json; received {received}"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data + b"\0"])
def test_a_damaged_network_is_not_opened(folder: Path, damage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("opened"))
    path = folder / "network.keras"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ExportError, match=r"expected network.keras of sha256"):
        TrainedModel.load(folder)


def test_a_missing_network_is_an_error(folder: Path) -> None:
    (folder / "network.keras").unlink()
    with pytest.raises(ExportError, match="received no file"):
        TrainedModel.load(folder)


def test_the_network_of_another_model_is_an_error(recipe: Recipe, model: TrainedModel, folder: Path) -> None:
    untrained(recipe).save(folder.parent / "other")
    (folder.parent / "other" / "network.keras").replace(folder / "network.keras")
    rewrite(folder, network_sha256=file_digest(folder / "network.keras"))
    with pytest.raises(ExportError, match=f"expected weights digest and number of classes .*{model.weights_digest}"):
        TrainedModel.load(folder)


def test_class_names_that_are_too_many_for_the_network_are_an_error(folder: Path) -> None:
    rewrite(folder, class_names=["a", "b", "c"])
    with pytest.raises(ExportError, match=r"number of classes \(.*, 3\); received \(.*, 2\)"):
        TrainedModel.load(folder)


def test_code_in_a_network_is_not_run(folder: Path) -> None:
    import keras

    pixels = keras.Input((4,))
    hostile = keras.Model(pixels, keras.layers.Lambda(lambda x: x + 1)(pixels))
    hostile.save(folder / "network.keras")
    rewrite(folder, network_sha256=file_digest(folder / "network.keras"))
    with pytest.raises(ExportError, match=r"plain Keras layers; received ValueError.*[Ll]ambda"):
        TrainedModel.load(folder)


def test_an_archive_that_is_no_network_is_an_error(folder: Path) -> None:
    with zipfile.ZipFile(folder / "network.keras", "w") as archive:
        archive.writestr("../config.json", "{}")
    rewrite(folder, network_sha256=file_digest(folder / "network.keras"))
    with pytest.raises(ExportError, match="expected a network of plain Keras layers"):
        TrainedModel.load(folder)


@pytest.mark.parametrize("trainable", ["head", "block2", "all"])
def test_answers_through_the_cache_agree_with_the_predictor(
    recipe: Recipe, album: Any, tmp_path: Path, trainable: str
) -> None:
    model = untrained(Recipe(**{**recipe.model_dump(), "trainable": trainable}))
    wanted = [*reversed(album.ids), album.ids[0]]
    found = predict_photos(model, wanted, album, FeatureCache(tmp_path))
    expected = Predictor.of(model).predict([album.photos[image_id] for image_id in wanted])
    assert (found.dtype, found.shape) == (np.float32, (49, 2))
    np.testing.assert_allclose(found, expected, atol=2e-3)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)


def test_the_real_backbone_answers_alike_through_the_cache_and_without(
    recipe: Recipe, album: Any, tmp_path: Path
) -> None:
    real = {"backbone": "efficientnet_lite0", "weights": "imagenet", "image_size_px": 64}
    model = untrained(Recipe(**{**recipe.model_dump(), **real}))
    found = predict_photos(model, album.ids, album, FeatureCache(tmp_path))
    np.testing.assert_allclose(found, Predictor.of(model).predict(list(album.photos.values())), atol=2e-3)


def test_a_loaded_model_finds_the_features_of_its_training(
    model: TrainedModel, folder: Path, album: Any, tmp_path: Path
) -> None:
    before = predict_photos(model, album.ids, album, FeatureCache(tmp_path / "cache"))
    album.asked.clear()
    after = predict_photos(TrainedModel.load(folder), album.ids, album, FeatureCache(tmp_path / "cache"))
    assert album.asked == []
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_no_photo_gives_no_answer(model: TrainedModel, album: Any, tmp_path: Path) -> None:
    assert predict_photos(model, [], album, FeatureCache(tmp_path)).shape == (0, 2)


def test_a_manifest_column_serves_as_ids(model: TrainedModel, album: Any, tmp_path: Path) -> None:
    column = pd.Series(album.ids[:3])
    assert predict_photos(model, column, album, FeatureCache(tmp_path)).shape == (3, 2)
