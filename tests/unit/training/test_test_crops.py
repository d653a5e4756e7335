"""Several crops of a photo answered and averaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gender_pipeline.images.decode import decode_rgb
from gender_pipeline.images.views import crop_views
from gender_pipeline.recipes import Recipe
from gender_pipeline.training import FeatureCache, TrainedModel, predict_photos
from gender_pipeline.training.engine import build_network, cut_layer
from gender_pipeline.zoo import weights_digest


@pytest.mark.parametrize("trainable", ["head", "all"])
@pytest.mark.parametrize("crops", [1, 2, 10])
def test_the_answer_is_the_mean_of_the_answers_to_the_crops(
    recipe: Recipe, album: Any, tmp_path: Path, trainable: str, crops: int
) -> None:
    recipe = recipe.model_copy(update={"trainable": trainable})
    network = build_network(recipe, 2)
    model = TrainedModel(network, recipe, ("female", "male"), cut_layer(recipe, trainable), weights_digest(network))
    photos = [(image_id, decode_rgb(album.photos[image_id], 32)) for image_id in album.ids]
    answers = [
        network(np.stack([view.apply(image_id, pixels) for image_id, pixels in photos]).astype(np.float32))
        for view in crop_views(crops)
    ]
    found = predict_photos(model, album.ids, album, FeatureCache(tmp_path), crops)
    np.testing.assert_allclose(found, np.mean([np.asarray(answer) for answer in answers], axis=0), atol=2e-3)
    assert len(album.asked) == len(album.ids)
