"""The training engine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gender_pipeline.errors import SettingsError, TrainingError
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, engine, train
from gender_pipeline.training.engine import HISTORY_COLUMNS, build_network, cut_layer

CLASSES = ("female", "male")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FeatureCache:
    return FeatureCache(tmp_path_factory.mktemp("features"))


def changed(recipe: Recipe, **fields: Any) -> Recipe:
    return Recipe(**{**recipe.model_dump(), **fields})


def weights(network: Any) -> dict[str, np.ndarray]:
    return {weight.path: np.array(weight) for weight in network.weights}


@pytest.mark.parametrize(
    ("trainable", "layer"),
    [
        ("head", "pooled"),
        ("pooled", "block2"),
        ("block2", "block1"),
        ("block1", "stem"),
        ("stem", "pixels"),
        ("all", "pixels"),
    ],
)
def test_the_network_is_cut_before_the_first_layer_that_is_trained(recipe: Recipe, trainable: str, layer: str) -> None:
    assert cut_layer(recipe, trainable) == layer


@pytest.mark.parametrize(
    ("trainable", "blocks"),
    [("head", set()), ("block2", {"block2"}), ("block1", {"block1", "block2"}), ("all", {"stem", "block1", "block2"})],
)
def test_only_the_layers_after_the_cut_are_trained(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache, trainable: str, blocks: set[str]
) -> None:
    import keras

    recipe = changed(recipe, trainable=trainable, epochs=1)
    keras.utils.set_random_seed(recipe.seed)
    before = weights(build_network(recipe, 2))
    after = weights(train(recipe, CLASSES, split_manifest, images=album, cache=cache)[0].network)
    trained = {path.split("/")[0] for path in after if not np.array_equal(before[path], after[path])}
    layers = {f"{block}_{kind}" for block in blocks for kind in ("conv", "bn")}
    assert trained == layers | {"hidden1", "logits"}


def test_learned_statistics_of_batch_normalisation_are_kept(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    recipe = changed(recipe, backbone="efficientnet_lite0", weights="imagenet", trainable="block7", epochs=1)
    before = weights(build_network(recipe, 2))
    model, _ = train(recipe, CLASSES, split_manifest, images=album, cache=cache)
    after = weights(model.network)
    assert not np.array_equal(after["top_conv/kernel"], before["top_conv/kernel"])
    for path in before:
        if "_bn/" in path:
            np.testing.assert_array_equal(after[path], before[path], err_msg=path)


def test_two_kinds_of_photo_are_told_apart(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    _, history = train(changed(recipe, trainable="all", epochs=10), CLASSES, split_manifest, images=album, cache=cache)
    assert history["val_accuracy"].max() == 1.0


def test_the_history_has_one_row_an_epoch(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    _, history = train(recipe, CLASSES, split_manifest, images=album, cache=cache)
    assert tuple(history.columns) == HISTORY_COLUMNS
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["learning_rate"].eq(0.01).all()
    assert history[["accuracy", "val_accuracy"]].stack().between(0.0, 1.0).all()


def test_test_photos_and_excluded_ones_are_never_touched(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, tmp_path: Path
) -> None:
    model, _ = train(recipe, CLASSES, split_manifest, images=album, cache=FeatureCache(tmp_path))
    assert set(album.asked) == set(album.ids[:36])
    flipped = split_manifest.assign(label=split_manifest["label"].where(split_manifest.index < 36, "nobody"))
    again, _ = train(recipe, CLASSES, flipped, images=album, cache=FeatureCache(tmp_path))
    assert again.weights_digest == model.weights_digest


def test_validation_photos_are_not_learned_from(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    recipe = changed(recipe, epochs=1)
    swapped = split_manifest.copy()
    swapped.loc[24:35, "label"] = ["male", "female"] * 6
    one, other = (train(recipe, CLASSES, manifest, images=album, cache=cache) for manifest in (split_manifest, swapped))
    assert one[0].weights_digest == other[0].weights_digest
    assert one[1]["val_loss"].item() != other[1]["val_loss"].item()


def test_training_stops_without_progress_and_keeps_the_best_weights(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    manifest = split_manifest.copy()
    manifest.loc[24:35, "label"] = ["male", "female"] * 6  # the more it learns, the worse it does
    recipe = changed(recipe, epochs=20, patience=2)
    model, history = train(recipe, CLASSES, manifest, images=album, cache=cache)
    best = int(history["val_loss"].idxmin()) + 1
    assert len(history) == best + 2 < 20
    shorter, _ = train(changed(recipe, epochs=best), CLASSES, manifest, images=album, cache=cache)
    assert model.weights_digest == shorter.weights_digest


def test_another_seed_gives_other_weights(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    digests = {
        train(changed(recipe, seed=seed), CLASSES, split_manifest, images=album, cache=cache)[0].weights_digest
        for seed in (1, 2)
    }
    assert len(digests) == 2


PROGRAM = """
import json, sys
from pathlib import Path
import pandas as pd
sys.path.insert(0, sys.argv[1])
from conftest import TOY, Album, photo
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, train
from gender_pipeline.zoo import SPECS
SPECS["toy"] = TOY
album = Album([photo(number) for number in range(48)])
manifest = pd.DataFrame(json.loads(sys.argv[3]))
for recipe in json.loads(sys.argv[4]):
    cache = FeatureCache(Path(sys.argv[2]))
    model, _ = train(Recipe(**recipe), ("female", "male"), manifest, images=album, cache=cache)
    print(model.weights_digest)
"""


def test_the_same_seed_gives_the_same_weights_in_another_process_to_the_bit(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache, tmp_path: Path
) -> None:
    recipes = [recipe, changed(recipe, trainable="block2"), changed(recipe, trainable="all")]
    manifest, settings = json.dumps(split_manifest.to_dict("list")), json.dumps([r.model_dump() for r in recipes])
    arguments = [str(Path(__file__).parent), str(tmp_path), manifest, settings]
    found = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], check=True, capture_output=True, text=True)
    here = [train(r, CLASSES, split_manifest, images=album, cache=cache)[0].weights_digest for r in recipes]
    assert found.stdout.split() == here


def test_more_than_two_classes_get_a_probability_each_and_the_last_batch_may_be_smaller(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    manifest = split_manifest.assign(label=["a", "b", "c"] * 16)
    model, _ = train(changed(recipe, epochs=1, batch_size=10), ("a", "b", "c"), manifest, images=album, cache=cache)
    assert model.network.output_shape == (None, 3)
    assert model.class_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("rows", "received"),
    [
        (slice(0, 24), "12 train female, 12 train male"),
        (slice(24, 36), "6 validation female, 6 validation male"),
        (slice(0, 36, 2), "12 train female, 6 validation female"),
        (slice(36, 48), "no photo"),
    ],
    ids=["no validation photo", "no train photo", "one class only", "neither"],
)
def test_too_little_to_train_on_is_an_error_that_counts_the_photos(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache, rows: slice, received: str
) -> None:
    with pytest.raises(TrainingError, match=f"not enough to train on; expected .* received {received}"):
        train(recipe, CLASSES, split_manifest[rows], images=album, cache=cache)


def test_one_class_in_the_settings_is_an_error(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    with pytest.raises(TrainingError, match="train photos of at least two classes"):
        train(recipe, ("female",), split_manifest[::2], images=album, cache=cache)


def test_an_unknown_label_is_an_error(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    manifest = split_manifest.assign(label=["cat", None, *split_manifest["label"][2:]])
    with pytest.raises(TrainingError, match="unknown classes; expected female, male; received cat, nan"):
        train(recipe, CLASSES, manifest, images=album, cache=cache)


def test_a_loss_that_is_not_finite_names_the_learning_rate(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "make_loss", lambda *_: lambda _, logits: float("nan") * logits[:, 0])
    with pytest.raises(TrainingError, match=r"recipe tiny: the loss is not finite in epoch 1.*learning_rate 0.01"):
        train(recipe, CLASSES, split_manifest, images=album, cache=cache)


def test_a_recipe_that_contradicts_the_zoo_fails_before_any_photo_is_read(
    recipe: Recipe, album: Any, split_manifest: pd.DataFrame, cache: FeatureCache
) -> None:
    with pytest.raises(SettingsError, match="no such block"):
        train(changed(recipe, trainable="block99"), CLASSES, split_manifest, images=album, cache=cache)
    assert album.asked == []
