"""A trained model: what it computes, what it was trained by, and its folder on disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from tqdm import trange

from gender_pipeline.errors import ExportError
from gender_pipeline.files import atomic_folder, file_digest
from gender_pipeline.images.views import crop_views
from gender_pipeline.recipes import Recipe
from gender_pipeline.schema import Settings
from gender_pipeline.training.features import COMPUTE_BATCH, FeatureCache, ImageSource, no_xla, run_padded
from gender_pipeline.zoo import cut, weights_digest

if TYPE_CHECKING:
    import keras

NETWORK_FILE: Final = "network.keras"
DESCRIPTION_FILE: Final = "model.json"
_PREPROCESSING: Final = (
    "photo bytes -> upright by EXIF, RGB -> {1} -> {0} x {0} px (bilinear, antialiased) "
    "-> float32 in [0, 255]; the network scales the pixels itself"
)

_FRAMINGS: Final = {"square": "centre square", "whole": "whole photo"}


class _Description(Settings):
    """Content of `model.json`."""

    recipe: Recipe
    class_names: tuple[str, ...] = Field(min_length=2)
    cut_layer: str
    preprocessing: str
    weights_digest: str
    network_sha256: str


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model.

    Attributes:
        network: From raw pixels (N, S, S, 3) float32 in [0, 255], RGB, to probabilities (N, k) float32; S is the
            recipe's `image_size_px`.
        recipe: What it was trained by.
        class_names: The k classes in the order of the probabilities.
        cut_layer: The layer up to which the network was frozen.
        weights_digest: sha256 over the network's structure and weights.
    """

    network: "keras.Model"
    recipe: Recipe
    class_names: tuple[str, ...]
    cut_layer: str
    weights_digest: str

    def facts(self) -> dict[str, str]:
        """Return what the model is, for reports and cards: name -> value."""
        return {
            "recipe": self.recipe.name,
            "backbone": f"{self.recipe.backbone}, weights {self.recipe.weights}, {self.recipe.image_size_px} px",
            "trained": ", then ".join(phase.trainable for phase in self.recipe.all_phases()),
            "data sets": ", ".join(self.recipe.sources) or "all",
            "precision": self.recipe.precision,
            "classes": ", ".join(self.class_names),
            "weights digest": self.weights_digest,
        }

    @property
    def preprocessing(self) -> str:
        """The way from a photo's bytes to the network's input, in words."""
        return _PREPROCESSING.format(self.recipe.image_size_px, _FRAMINGS[self.recipe.framing])

    def save(self, folder: Path) -> None:
        """Replace the folder by this model: `network.keras` and `model.json`, in one rename."""
        with atomic_folder(folder) as temporary:
            self.network.save(temporary / NETWORK_FILE)
            description = _Description(
                recipe=self.recipe,
                class_names=self.class_names,
                cut_layer=self.cut_layer,
                preprocessing=self.preprocessing,
                weights_digest=self.weights_digest,
                network_sha256=file_digest(temporary / NETWORK_FILE),
            )
            (temporary / DESCRIPTION_FILE).write_text(description.model_dump_json(indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "TrainedModel":
        """Read a folder that `save` wrote; no code from it is run.

        Raises:
            ExportError: A file is missing or damaged, has unknown keys, or the two do not belong together.
        """
        description = _read_description(folder)
        network = _load_network(folder, description.network_sha256)
        found = (weights_digest(network), network.output_shape[-1])
        expected = (description.weights_digest, len(description.class_names))
        if found != expected:
            raise _unreadable(folder, f"weights digest and number of classes {expected}", str(found))
        return cls(
            network, description.recipe, description.class_names, description.cut_layer, description.weights_digest
        )


def predict_photos(
    model: TrainedModel, image_ids: Sequence[str], images: ImageSource, cache: FeatureCache, crops: int = 1
) -> NDArray[np.float32]:
    """Answer photos through the feature cache, so that those it was trained on cost almost nothing.

    Args:
        model: The model.
        image_ids: N photos; repeats are allowed.
        images: Gives the bytes of the photos that are not in the cache.
        cache: The cache of the training, or any other.
        crops: How many crops of a photo are answered and averaged: 1, 2, 5 or 10 (`images.views.crop_views`).

    Returns:
        Probabilities (N, k) float32 in the order of `image_ids` and of `model.class_names`; they differ from those of
        `Predictor` by the float16 rounding of the features, below 0.002.

    Raises:
        ImageError: A photo cannot be decoded.
        TrainingError: A photo is missing in `images`.
    """
    prefix, suffix = cut(model.network, model.cut_layer)
    recipe, views = model.recipe, crop_views(crops)
    features = cache.features(
        prefix,
        recipe.image_size_px,
        image_ids,
        images,
        views=views,
        framing=recipe.framing,
        dtype=recipe.feature_dtype,
    )
    no_xla(suffix)
    probabilities = np.zeros((len(image_ids), len(model.class_names)), np.float32)
    for start in trange(0, len(image_ids), COMPUTE_BATCH, desc="predictions", unit="batch", disable=None):
        positions = np.arange(start, min(start + COMPUTE_BATCH, len(image_ids)))
        for view in range(len(views)):
            probabilities[positions] += run_padded(suffix, features.rows(positions, view)) / len(views)
    return probabilities


def _read_description(folder: Path) -> _Description:
    path = folder / DESCRIPTION_FILE
    try:
        return _Description.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise _unreadable(folder, f"a folder with {DESCRIPTION_FILE}", "none", "train a model first") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise _unreadable(folder, f"a valid {DESCRIPTION_FILE}", f"{place or 'the file'}: {first['msg']}") from error


def _load_network(folder: Path, sha256: str) -> "keras.Model":
    import keras

    path = folder / NETWORK_FILE
    found = file_digest(path) if path.is_file() else "no file"
    if found != sha256:
        raise _unreadable(folder, f"{NETWORK_FILE} of sha256 {sha256}", found)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # the file is hostile if it gets here, and what Keras raises then is an open set
        raise _unreadable(
            folder, "a network of plain Keras layers", f"{type(error).__name__}: {error}"[:300]
        ) from error


def _unreadable(
    folder: Path, expected: str, received: str, remedy: str = "export or train the model again"
) -> ExportError:
    return ExportError(f"cannot load the model {folder.name}", expected=expected, received=received, remedy=remedy)
