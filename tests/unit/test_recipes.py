"""What a recipe may say."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from gender_pipeline.errors import SettingsError
from gender_pipeline.recipes import Recipe, check_recipe

FIELDS = {
    "name": "tiny",
    "backbone": "efficientnet_lite0",
    "image_size_px": 32,
    "optimizer": {"learning_rate": 0.01},
    "epochs": 2,
    "batch_size": 4,
    "patience": 1,
    "seed": 0,
}


@pytest.mark.parametrize("trainable", ["head", "all", "stem", "block7", "pooled"])
def test_head_all_and_every_block_of_the_backbone_can_be_trained(trainable: str) -> None:
    check_recipe(Recipe(**FIELDS, trainable=trainable))


def test_an_unknown_backbone_is_refused_with_the_known_ones() -> None:
    recipe = Recipe(**{**FIELDS, "backbone": "resnet"})
    with pytest.raises(SettingsError, match=r"recipe tiny: unknown backbone; expected one of efficientnet_lite0"):
        check_recipe(recipe)


def test_an_unknown_block_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"one of head, pooled, top, block7, .*stem, all; received block9"):
        check_recipe(Recipe(**FIELDS, trainable="block9"))


def test_adam_takes_no_momentum() -> None:
    adam = {"name": "adam", "learning_rate": 0.01, "momentum": 0.9}
    with pytest.raises(SettingsError, match="adam takes no momentum; remove it, or use sgd"):
        check_recipe(Recipe(**{**FIELDS, "optimizer": adam}))


def test_only_adamw_takes_weight_decay() -> None:
    with pytest.raises(SettingsError, match="sgd takes no weight_decay; remove it, or use adamw"):
        check_recipe(Recipe(**{**FIELDS, "optimizer": {"name": "sgd", "learning_rate": 0.01, "weight_decay": 0.1}}))


def phases(*names: str) -> list[dict[str, object]]:
    return [{"trainable": name, "epochs": 2, "learning_rate": 0.1} for name in names]


def test_the_last_phase_is_made_of_the_recipes_own_settings() -> None:
    recipe = Recipe(**FIELDS, phases=phases("head"), trainable="block7")
    assert [(phase.trainable, phase.epochs) for phase in recipe.all_phases()] == [
        ("head", 2),
        ("block7", recipe.epochs),
    ]
    assert recipe.all_phases()[-1].learning_rate == recipe.optimizer.learning_rate


@pytest.mark.parametrize("names", [("head", "block7", "block5", "all"), ("head", "head", "all"), ("all",), ("pooled",)])
def test_phases_may_unfreeze_more_and_more(names: tuple[str, ...]) -> None:
    check_recipe(Recipe(**FIELDS, phases=phases(*names[:-1]), trainable=names[-1]))


@pytest.mark.parametrize("names", [("all", "head"), ("block5", "block7"), ("head", "stem", "block1")])
def test_a_phase_must_not_freeze_what_the_one_before_it_trained(names: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match=f"a phase freezes .*; received {', '.join(names)}"):
        check_recipe(Recipe(**FIELDS, phases=phases(*names[:-1]), trainable=names[-1]))


def test_sgd_takes_momentum() -> None:
    sgd = {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9}
    check_recipe(Recipe(**{**FIELDS, "optimizer": sgd}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("leraning_rate", 0.1),
        ("name", "../evil"),
        ("framing", "round"),
        ("precision", "float8"),
        ("feature_dtype", "float32"),
        ("augmentation", {"views": 0}),
        ("augmentation", {"crop": 0.6}),
        ("loss", {"label_smoothing": 1.0}),
        ("loss", {"class_weights": "inverse"}),
        ("optimizer", {"learning_rate": 0.1, "schedule": "linear"}),
        ("phases", [{"trainable": "head", "epochs": 0, "learning_rate": 0.1}]),
        ("head", {"output": "tanh"}),
        ("image_size_px", 31),
        ("image_size_px", 513),
        ("head", {"hidden_units": [0]}),
        ("head", {"dropout": 1.0}),
        ("optimizer", {"name": "adam"}),
        ("optimizer", {"learning_rate": 0.0}),
        ("optimizer", {"learning_rate": float("nan")}),
        ("optimizer", {"learning_rate": 0.1, "nesterov": True}),
        ("label_smoothing", 1.0),
        ("epochs", 0),
        ("batch_size", 0),
        ("patience", 0),
        ("seed", -1),
    ],
)
def test_a_misspelt_key_or_a_value_out_of_range_is_an_error(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Recipe(**{**FIELDS, field: value})


def test_a_recipe_survives_json() -> None:
    recipe = Recipe(**FIELDS, head={"hidden_units": [8, 4], "dropout": 0.5})
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_a_recipe_is_checked_without_tensorflow() -> None:
    code = "import sys, gender_pipeline.recipes; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
