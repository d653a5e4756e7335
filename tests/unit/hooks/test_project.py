import pytest

from gender_pipeline.errors import SettingsError
from gender_pipeline.hooks.project import environment, select_recipes

RECIPES = {"one": {"name": "one", "backbone": "vgg16"}, "two": {"name": "two", "backbone": "resnet50"}}


def test_recipes_are_named_by_a_list_or_by_one_text() -> None:
    assert (
        select_recipes(RECIPES, "two one")
        == select_recipes(RECIPES, ["two", "one"])
        == [RECIPES["two"], RECIPES["one"]]
    )


def test_a_recipe_on_another_backbone_has_a_name_of_its_own() -> None:
    assert select_recipes(RECIPES, "one@vgg_face") == [{"name": "one_vgg_face", "backbone": "vgg_face"}]
    assert RECIPES["one"]["backbone"] == "vgg16"


def test_an_unknown_recipe_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match="unknown recipe 'three'; expected one of one, two"):
        select_recipes(RECIPES, "one three@vgg16")


def test_a_variable_that_is_not_set_or_empty_gives_the_default(monkeypatch) -> None:
    monkeypatch.delenv("TEAM_SERVER", raising=False)
    assert environment("TEAM_SERVER", "own") == "own"
    monkeypatch.setenv("TEAM_SERVER", "")
    assert environment("TEAM_SERVER", "own") == "own"
    monkeypatch.setenv("TEAM_SERVER", "http://host")
    assert environment("TEAM_SERVER", "own") == "http://host"
