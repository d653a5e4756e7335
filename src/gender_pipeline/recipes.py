"""A recipe: all that tells one training from another, in one typed file."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from gender_pipeline.errors import SettingsError
from gender_pipeline.images.decode import Framing
from gender_pipeline.images.views import Augmentation
from gender_pipeline.schema import Settings
from gender_pipeline.zoo import SPECS

HEAD: Final = "head"
ALL: Final = "all"
IMAGENET: Final = "imagenet"
RANDOM: Final = "none"


class Head(Settings):
    """The layers put on the backbone's last feature map.

    Attributes:
        pooling: What makes a vector of the map (h, w, c): `average` over h and w gives c values, `flatten` h * w * c.
        hidden_units: Width of each hidden ReLU layer; empty for a linear classifier.
        batch_norm: Whether batch normalisation follows each hidden layer.
        dropout: Share of values dropped before each dense layer, in [0, 1).
        output: `softmax` over the k classes; `sigmoid`, one unit for the probability of class 1 of two; `sigmoids`, one
            for each class, trained as k yes-or-no questions and then scaled to sum to 1.
    """

    pooling: Literal["average", "flatten"] = "average"
    hidden_units: tuple[Annotated[int, Field(ge=1, le=16384)], ...] = ()
    batch_norm: bool = False
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    output: Literal["softmax", "sigmoid", "sigmoids"] = "softmax"


class Loss(Settings):
    """What is minimised: cross-entropy, categorical for `softmax`, binary for the sigmoid outputs.

    Attributes:
        label_smoothing: Share of the target probability spread over all classes, in [0, 1).
        focal_gamma: Exponent of the focal loss (Lin et al. 2017, arXiv:1708.02002); 0 is plain cross-entropy.
        class_weights: `none`, or `balanced`: a photo of class c counts n / (k * n_c).
    """

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    focal_gamma: float = Field(default=0.0, ge=0.0, le=10.0)
    class_weights: Literal["none", "balanced"] = "none"


class Optimizer(Settings):
    """The optimiser, and how its step size changes.

    Attributes:
        name: `adam`, `adamw`, `rmsprop` or `sgd`.
        learning_rate: The largest step size, above 0.
        momentum: Of `sgd` and `rmsprop` only, in [0, 1).
        weight_decay: Of `adamw` only: share of every weight taken off in a step of size 1.
        schedule: `constant`; `cosine`, down to 0 over the phase; `step`, a tenth after each third of it.
        warmup_epochs: Epochs at the start of a phase over which the step size grows linearly from 0.
    """

    name: Literal["adam", "adamw", "rmsprop", "sgd"] = "adam"
    learning_rate: float = Field(gt=0.0, le=10.0)
    momentum: float = Field(default=0.0, ge=0.0, lt=1.0)
    weight_decay: float = Field(default=0.0, ge=0.0, lt=1.0)
    schedule: Literal["constant", "cosine", "step"] = "constant"
    warmup_epochs: float = Field(default=0.0, ge=0.0)


class Phase(Settings):
    """A stretch of the training: what is trained, how long, how fast.

    Attributes:
        trainable: What is trained: `head`, a block of the backbone (it and everything after it), or `all`.
        epochs: Most passes over the train photos.
        learning_rate: The largest step size, above 0.
    """

    trainable: str
    epochs: int = Field(ge=1, le=1000)
    learning_rate: float = Field(gt=0.0, le=10.0)


class Recipe(Settings):
    """One experiment; `check_recipe` does the checks that need the zoo.

    Attributes:
        name: The recipe's name, also of its file.
        sources: The data sets it is trained and measured on; empty for all there are.
        backbone: A key of `zoo.SPECS`.
        weights: `imagenet`, `none` for random ones, or the path of a weights file.
        image_size_px: Side of the square images the network sees, in pixels.
        crop: What the photos it is trained on were cut to, and so what is done with a photo that is to be answered:
            `face`, every face in it is found and cut out; `none`, it is taken as it is.
        framing: What of a photo becomes that square: `square`, its centre; `whole`, all of it, made narrower or wider.
        trainable: What is trained in the last phase: `head`, a block of the backbone (it and everything after it), or
            `all`.
        phases: Phases before that one, for gradual unfreezing; each starts from the best weights of the one before.
        head: The layers on top of the backbone.
        optimizer: Optimiser, learning rate and schedule of the last phase; the earlier ones have rates of their own.
        loss: What is minimised.
        augmentation: Distortions of the train photos.
        epochs: Most passes over the train photos in the last phase.
        batch_size: Photos in a step.
        patience: Epochs without a lower validation loss after which a phase stops; the best weights are kept.
        precision: What the backbone computes in, while weights stay float32; `auto` measures and takes the faster one.
        feature_dtype: What cached features are stored in; bfloat16 has a larger range and fewer digits.
        seed: Of all random numbers: initial weights, order of the photos, views, dropout.
    """

    name: str = Field(pattern=r"^[a-z0-9_]{1,64}$")
    sources: tuple[str, ...] = ()
    backbone: str
    weights: str = IMAGENET
    image_size_px: int = Field(ge=32, le=512)
    crop: Literal["none", "face"] = "none"
    framing: Framing = "square"
    trainable: str = HEAD
    phases: tuple[Phase, ...] = ()
    head: Head = Head()
    optimizer: Optimizer
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()
    epochs: int = Field(ge=1, le=1000)
    batch_size: int = Field(ge=1, le=4096)
    patience: int = Field(ge=1, le=1000)
    precision: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    feature_dtype: Literal["float16", "bfloat16"] = "float16"
    seed: int = Field(ge=0, lt=2**32)

    def all_phases(self) -> tuple[Phase, ...]:
        """Return the phases in order, the last one included."""
        last = Phase(trainable=self.trainable, epochs=self.epochs, learning_rate=self.optimizer.learning_rate)
        return (*self.phases, last)


def check_recipe(recipe: Recipe) -> None:
    """Check what one field of a recipe asks of another; needs no TensorFlow.

    Raises:
        SettingsError: The backbone is unknown, it has no block of the name in a `trainable`, or the optimiser does not
            know a setting.
    """
    if recipe.backbone not in SPECS:
        raise SettingsError(
            f"recipe {recipe.name}: unknown backbone", expected=f"one of {', '.join(SPECS)}", received=recipe.backbone
        )
    _check_phases(recipe, (HEAD, *reversed(SPECS[recipe.backbone].block_names), ALL))
    _check_optimizer(recipe.name, recipe.optimizer)


def _check_phases(recipe: Recipe, choices: Sequence[str]) -> None:
    """Check that each phase trains something there is, and at least what the one before it trained."""
    trained = [phase.trainable for phase in recipe.all_phases()]
    for name in trained:
        if name not in choices:
            raise SettingsError(
                f"recipe {recipe.name}: {recipe.backbone} has no such block to train",
                expected=f"trainable to be one of {', '.join(choices)}",
                received=name,
            )
    # What one phase has trained, the next must not freeze: its features would have to be computed anew.
    if trained != sorted(trained, key=choices.index):
        raise SettingsError(
            f"recipe {recipe.name}: a phase freezes what the one before it trained",
            expected=f"phases in the order {', '.join(choices)}",
            received=", ".join(trained),
        )


def _check_optimizer(recipe_name: str, optimizer: Optimizer) -> None:
    knows = {"momentum": ("sgd", "rmsprop"), "weight_decay": ("adamw",)}
    for setting, names in knows.items():
        if getattr(optimizer, setting) and optimizer.name not in names:
            raise SettingsError(
                f"recipe {recipe_name}: {optimizer.name} takes no {setting}",
                remedy=f"remove it, or use {' or '.join(names)}",
            )
