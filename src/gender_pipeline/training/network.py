"""The network of a recipe: backbone, head, and where it is cut into a frozen and a trained part."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from gender_pipeline.errors import SettingsError
from gender_pipeline.recipes import ALL, HEAD, RANDOM, Head, Recipe
from gender_pipeline.zoo import build_backbone, get_spec

if TYPE_CHECKING:
    import keras

PIXELS: Final = "pixels"
LOGITS: Final = "logits"


def cut_layer(recipe: Recipe, trainable: str) -> str:
    """Name the deepest layer that is frozen while `trainable` is trained; `pixels`, the input, where nothing is."""
    spec = get_spec(recipe.backbone)
    if trainable == HEAD:
        return spec.layer_of(spec.block_names[-1])
    first_trained = 0 if trainable == ALL else spec.block_names.index(trainable)
    return spec.layer_of(spec.block_names[first_trained - 1]) if first_trained else PIXELS


def build_network(recipe: Recipe, n_classes: int) -> "keras.Model":
    """Build backbone and head; the backbone computes in the recipe's precision, the head always in float32.

    Batch normalisation that has learned its statistics from ImageNet keeps them, also where its block is trained:
    small batches of a small data set would replace them by worse ones (https://keras.io/guides/transfer_learning).

    Returns:
        From raw pixels (N, S, S, 3) float32 in [0, 255] to probabilities (N, n_classes) float32. The layer `logits`
        gives what the losses are computed from, (N, n_classes) float32.

    Raises:
        SettingsError: A head of one sigmoid is to tell more than two classes apart, or `precision` is not chosen yet.
        ZooError: The backbone's weights are absent or do not fit.
    """
    import keras

    if recipe.head.output == "sigmoid" and n_classes != 2:
        raise SettingsError(
            f"recipe {recipe.name}: one sigmoid tells two classes apart",
            received=f"{n_classes} classes",
            remedy="set head.output to softmax or sigmoids",
        )
    with _computing_in(recipe.precision):
        backbone = build_backbone(
            get_spec(recipe.backbone), recipe.image_size_px, recipe.weights, pooling=recipe.head.pooling
        )
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = recipe.weights == RANDOM
    return keras.Model(backbone.input, _head(backbone.output, recipe.head, n_classes), name=recipe.name)


@contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    import keras

    if precision == "auto":
        raise SettingsError("the precision is not chosen yet", remedy="call choose_precision first")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _head(features: Any, head: Head, n_classes: int) -> Any:
    """Connect the head; features (N, F) of any float type, probabilities (N, n_classes) float32."""
    from keras import layers, ops

    x = features
    for number, units in enumerate(head.hidden_units, 1):
        x = layers.Dropout(head.dropout, dtype="float32", name=f"hidden{number}_dropout")(x)
        x = layers.Dense(units, None if head.batch_norm else "relu", dtype="float32", name=f"hidden{number}")(x)
        if head.batch_norm:
            x = layers.BatchNormalization(dtype="float32", name=f"hidden{number}_bn")(x)
            x = layers.ReLU(dtype="float32", name=f"hidden{number}_relu")(x)
    x = layers.Dropout(head.dropout, dtype="float32", name="dropout")(x)
    if head.output == "sigmoid":
        logit = layers.Dense(1, dtype="float32", name="logit")(x)
        # sigmoid(z) is softmax([0, z]) of class 1: so one unit has the losses and the output of two.
        zero = layers.Rescaling(0.0, dtype="float32", name="zero")(logit)
        x = layers.Concatenate(dtype="float32", name=LOGITS)([zero, logit])
    else:
        x = layers.Dense(n_classes, dtype="float32", name=LOGITS)(x)
    if head.output == "sigmoids":
        scores = layers.Activation("sigmoid", dtype="float32", name="scores")(x)
        # The floor keeps a photo that no class claims from being divided by zero.
        return (scores + 1e-7) / ops.sum(scores + 1e-7, axis=-1, keepdims=True)
    return layers.Softmax(dtype="float32", name="probabilities")(x)
