"""What configuration needs of the project: places inside it, and the recipe that was asked for."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlparse

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from omegaconf import OmegaConf

from gender_pipeline.errors import SettingsError


def select_recipe(recipes: Mapping[str, Any], name: str) -> Any:
    """Return the recipe of that name, for `${select_recipe:...}`.

    Raises:
        SettingsError: There is none.
    """
    if name not in recipes:
        raise SettingsError(
            f"unknown recipe {name!r}",
            expected=f"one of {', '.join(sorted(recipes))}",
            remedy="correct `recipe`, or add a file to conf/base/parameters/recipes",
        )
    return recipes[name]


def select_recipes(recipes: Mapping[str, Any], names: str | Sequence[str]) -> list[dict[str, Any]]:
    """Return several recipes, for `${select_recipes:...}`.

    Args:
        recipes: All there are.
        names: Names as a list, or as one text with blanks between, which `--params` can carry. `recipe@backbone` is a
            recipe on another backbone, and is called `recipe_backbone`.

    Raises:
        SettingsError: There is none of a name.
    """
    selected = []
    for entry in names.split() if isinstance(names, str) else names:
        name, _, backbone = entry.partition("@")
        other = {"name": f"{name}_{backbone}", "backbone": backbone} if backbone else {}
        selected.append({**select_recipe(recipes, name), **other})
    return selected


def environment(name: str, default: str) -> str:
    """Return a variable of the process environment, for `${environment:NAME,default}`; an empty one is none.

    Kedro allows OmegaConf's own `oc.env` in credentials only.
    """
    return os.environ.get(name) or default


def unless_server(tracking_uri: str, location: str) -> str | None:
    """Return where artifacts go, for `${unless_server:...}`; None leaves the choice to the server that there is."""
    return None if urlparse(tracking_uri).scheme in ("http", "https") else location


class ProjectHooks:
    """Registers the resolver `${project:path}`, an absolute path inside the project, and checks the recipe."""

    # Before the hook of `MlflowRun`, which reads mlflow.yml.
    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Register the resolver for this project."""
        # The plug-in sets its own level to INFO when it is imported, whatever logging.yml says.
        logging.getLogger("kedro_mlflow").setLevel(logging.WARNING)
        root = context.project_path
        OmegaConf.register_new_resolver("project", lambda path: (root / path).as_posix(), replace=True)

    @hook_impl
    def after_catalog_created(self, parameters: dict[str, Any]) -> None:
        """Check that the recipe selected is the one that was asked for.

        `--params training.seed=1,recipe=other` changes the seed of the recipe there was before it selects another.

        Raises:
            SettingsError: It is another one.
        """
        asked, selected = parameters["params:recipe"], parameters["params:training.name"]
        if selected != asked:
            raise SettingsError(
                f"the recipe in `training` is {selected}",
                expected=f"{asked}, which `recipe` asks for",
                remedy="in --params put recipe=NAME before training.KEY=VALUE; a recipe's name is that of its file",
            )
