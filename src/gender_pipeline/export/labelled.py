"""Photos of a split with their labels, as a network sees them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gender_pipeline.errors import ExportError, examples
from gender_pipeline.export.predictor import BATCH_SIZE
from gender_pipeline.images.decode import decode_batches
from gender_pipeline.training import ImageSource, TrainedModel, recipe_rows


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """Photos in memory.

    Attributes:
        pixels: (n, S, S, 3) uint8, RGB.
        codes: (n,) int64, the position of each label among the model's classes.
    """

    pixels: NDArray[np.uint8]
    codes: NDArray[np.int64]


def labelled_photos(
    model: TrainedModel, split_manifest: pd.DataFrame, images: ImageSource, *, split: str, n_photos: int
) -> LabelledPhotos:
    """Decode photos of a split of the model's data sets; of more than `n_photos` always the same ones.

    Args:
        model: Says what it sees of a photo, and its classes.
        split_manifest: One row a photo.
        images: Gives their bytes.
        split: Whose photos, such as `test`.
        n_photos: How many at most.

    Raises:
        ExportError: There is none.
        ImageError: A photo cannot be decoded.
    """
    rows = recipe_rows(split_manifest, model.recipe)
    codes = rows.assign(code=pd.Categorical(rows["label"], categories=list(model.class_names)).codes)
    wanted = codes[(codes["split"] == split) & (codes["code"] >= 0)].drop_duplicates("image_id")
    if wanted.empty:
        raise ExportError(
            f"there are no {split} photos of the classes {', '.join(model.class_names)}",
            received=f"{len(rows)} photos of {examples(sorted(map(str, rows['label'].unique())))}",
            remedy="split photos that the model can tell apart: kedro run --pipelines manifest,validation,splitting",
        )
    # Ids are digests: in their order the photos are as good as shuffled.
    code_of = wanted.sort_values("image_id").head(n_photos).set_index("image_id")["code"]
    photos, recipe = images.images(list(code_of.index)), model.recipe
    batches = list(decode_batches(photos, recipe.image_size_px, BATCH_SIZE, framing=recipe.framing))
    ids = [image_id for batch, _ in batches for image_id in batch]
    return LabelledPhotos(np.concatenate([pixels for _, pixels in batches]), code_of[ids].to_numpy(np.int64))
