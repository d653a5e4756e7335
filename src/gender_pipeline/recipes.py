"""A recipe: all that tells one training from another, in one typed file."""

from typing import Annotated, Final, Literal

from pydantic import Field

from gender_pipeline.errors import SettingsError
from gender_pipeline.schema import Settings
from gender_pipeline.zoo import SPECS

HEAD: Final = "head"
ALL: Final = "all"


class Head(Settings):
    """The layers put on the backbone's pooled features; the softmax over the classes follows them.

    Attributes:
        hidden_units: Width of each hidden ReLU layer; empty for a linear classifier.
        dropout: Share of values dropped before each layer, in [0, 1).
    """

    hidden_units: tuple[Annotated[int, Field(ge=1, le=16384)], ...] = ()
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)


class Optimizer(Settings):
    """The optimiser.

    Attributes:
        name: `adam` or `sgd`.
        learning_rate: Constant step size, above 0.
        momentum: Of `sgd` only, in [0, 1).
    """

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = Field(gt=0.0, le=10.0)
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)


class Recipe(Settings):
    """One experiment; `check_recipe` does the checks that need the zoo.

    Attributes:
        name: The recipe's name, also of its file.
        backbone: A key of `zoo.SPECS`.
        weights: `imagenet`, or `none` for random ones.
        image_size_px: Side of the square images the network sees, in pixels.
        trainable: What is trained: `head`, a block of the backbone (it and everything after it), or `all`.
        head: The layers on top of the backbone.
        optimizer: Optimiser and learning rate.
        label_smoothing: Share of the target probability spread over all classes, in [0, 1).
        epochs: Most passes over the train photos.
        batch_size: Photos in a step.
        patience: Epochs without a lower validation loss after which training stops; the best weights are kept.
        seed: Of all random numbers: initial weights, order of the photos, dropout.
    """

    name: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    backbone: str
    weights: Literal["imagenet", "none"] = "imagenet"
    image_size_px: int = Field(ge=32, le=512)
    trainable: str = HEAD
    head: Head = Head()
    optimizer: Optimizer
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    epochs: int = Field(ge=1, le=1000)
    batch_size: int = Field(ge=1, le=4096)
    patience: int = Field(ge=1, le=1000)
    seed: int = Field(ge=0, lt=2**32)


def check_recipe(recipe: Recipe) -> None:
    """Check what one field of a recipe asks of another; needs no TensorFlow.

    Raises:
        SettingsError: The backbone is unknown, it has no block of the name in `trainable`, or the optimiser has no
            momentum.
    """
    if recipe.backbone not in SPECS:
        raise SettingsError(
            f"recipe {recipe.name}: unknown backbone", expected=f"one of {', '.join(SPECS)}", received=recipe.backbone
        )
    choices = (HEAD, ALL, *SPECS[recipe.backbone].block_names)
    if recipe.trainable not in choices:
        raise SettingsError(
            f"recipe {recipe.name}: {recipe.backbone} has no such block to train",
            expected=f"trainable to be one of {', '.join(choices)}",
            received=recipe.trainable,
        )
    if recipe.optimizer.name != "sgd" and recipe.optimizer.momentum:
        raise SettingsError(
            f"recipe {recipe.name}: {recipe.optimizer.name} takes no momentum", remedy="remove it, or use sgd"
        )
