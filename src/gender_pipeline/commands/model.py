"""The model that a command is to use: in the registry, or a file."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from gender_pipeline.commands.project import connect, environments

DEFAULT: Final = "gender-classifier@production"
_REGISTERED: Final = re.compile(r"(?P<name>[\w.-]+)(?P<reference>@\w+|/\d+)")


@dataclass(frozen=True, slots=True)
class Registered:
    """A version in the registry: a name, and a number or an alias such as `@production`."""

    name: str
    reference: str


class ModelType(click.ParamType[Path | Registered]):
    """NAME@ALIAS, NAME/VERSION or the path of a model's folder or exported file, which needs no registry."""

    name = "model"

    def convert(
        self, value: str | Path | Registered, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | Registered:
        """Tell a path from a name in the registry."""
        if not isinstance(value, str):
            return value
        if Path(value).exists():
            return Path(value)
        found = _REGISTERED.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no file, and neither NAME@ALIAS nor NAME/VERSION", param, ctx)
        return Registered(found["name"], found["reference"].removeprefix("/"))


MODEL_OPTION = click.option(
    "--model",
    type=ModelType(),
    default=DEFAULT,
    show_default=True,
    metavar="NAME@ALIAS|NAME/VERSION|FILE",
    help="A registered version, a model's folder, or an exported file (.onnx, .tflite, saved_model).",
)


def models_folder(name: str) -> Path:
    """Connect to the registry of the project around, and return where its fetched versions of a model are kept."""
    project = connect()
    return environments(project)["base"].data_root / "cache" / "models" / name


def model_path(model: Path | Registered) -> tuple[Path, str]:
    """Return where a model's files are, fetched from the registry where need be, and what to call it."""
    if isinstance(model, Path):
        return model, str(model)
    from gender_pipeline.registration.mlflow_models import fetch_model

    fetched = fetch_model(model.name, model.reference, models_folder(model.name))
    return fetched.folder, f"{fetched.name} version {fetched.version}"
