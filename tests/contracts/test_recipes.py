"""What holds for every recipe of conf/base/parameters/recipes."""

from pathlib import Path

import pytest
import yaml

from gender_pipeline.recipes import Recipe, check_recipe

FOLDER = Path(__file__).parents[2] / "conf" / "base" / "parameters" / "recipes"
FILES = sorted(FOLDER.glob("*.yml"))


def test_there_is_a_default_recipe() -> None:
    assert "quickstart" in {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_holds_one_valid_recipe_of_its_own_name(path: Path) -> None:
    content = yaml.safe_load(path.read_text("utf-8"))
    assert list(content) == ["_recipes"]
    assert list(content["_recipes"]) == [path.stem]
    recipe = Recipe(**content["_recipes"][path.stem])
    assert recipe.name == path.stem
    check_recipe(recipe)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_header_says_what_it_is_what_to_expect_and_the_command(path: Path) -> None:
    header = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    assert header[0].startswith(f"# {path.stem}: ")
    assert any("measured:" in line for line in header)
    assert any(f"recipe={path.stem}" in line for line in header)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_but_the_pedestrian_networks_see_faces(path: Path) -> None:
    content = yaml.safe_load(path.read_text("utf-8"))["_recipes"][path.stem]
    assert Recipe(**content).crop == ("none" if path.stem.startswith("pedestrian") else "face")
