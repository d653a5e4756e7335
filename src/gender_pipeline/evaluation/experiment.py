"""What several trainings have in common that are to be compared: the photos, their split, and how they are measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from gender_pipeline.errors import EvaluationError, examples
from gender_pipeline.evaluation.bootstrap import EvaluationSettings
from gender_pipeline.evaluation.predictions import predictions_table
from gender_pipeline.evaluation.slices import Slice, measure
from gender_pipeline.recipes import Recipe
from gender_pipeline.schema import EXCLUDED, TEST
from gender_pipeline.training import FeatureCache, ImageSource, TrainedModel, predict_photos, train


@dataclass(frozen=True)
class Experiment:
    """One split of the photos, on which any recipe can be trained and tested.

    Attributes:
        class_names: The k >= 2 classes in index order; of two the last is class 1.
        split_manifest: One row a photo.
        images: Gives the photos' bytes.
        cache: Keeps the outputs of frozen layers, which all trainings share.
        evaluation: Resamples and confidence of the intervals, crops of a test photo.
        devices: What is trained on, as in `training.train`.
    """

    class_names: tuple[str, ...]
    split_manifest: pd.DataFrame
    images: ImageSource
    cache: FeatureCache
    evaluation: EvaluationSettings
    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse photos without a test part, before hours of training rather than after."""
        if self._test_photos().empty:
            raise EvaluationError(
                "there are no test photos to compare on",
                received=f"the splits {examples(sorted(self.split_manifest['split'].unique()))}",
                remedy="check the sources asked for, and the splitting report",
            )

    def sources(self) -> list[str]:
        """Return the data sets that have photos, excluded ones apart, in alphabetical order."""
        used = self.split_manifest[self.split_manifest["split"] != EXCLUDED]
        return sorted(used["source"].unique())

    def restricted_to(self, sources: Sequence[str]) -> "Experiment":
        """Return the experiment on some data sets only; on all there are for an empty sequence.

        Raises:
            EvaluationError: A data set has no photo, or none of them a test photo.
        """
        absent = set(sources) - set(self.sources())
        if absent:
            raise EvaluationError(
                "unknown sources", expected=f"some of {examples(self.sources())}", received=examples(sorted(absent))
            )
        wanted = self.split_manifest["source"].isin(list(sources) or self.sources())
        return replace(self, split_manifest=self.split_manifest[wanted])

    def train(self, recipe: Recipe) -> TrainedModel:
        """Train a recipe on the train photos; errors are those of `training.train`."""
        photos, images, cache = self.split_manifest, self.images, self.cache
        model, _ = train(recipe, self.class_names, photos, images=images, cache=cache, devices=self.devices)
        return model

    def test(self, model: TrainedModel) -> dict[str, Slice]:
        """Measure a model on the test photos of all data sets, also of those it was not trained on.

        Returns:
            Slices by source, and `all` for all sources together, as `measure` gives them.
        """
        photos, crops = self._test_photos(), self.evaluation.test_crops
        probabilities = predict_photos(model, photos["image_id"].tolist(), self.images, self.cache, crops)
        settings = self.evaluation.model_copy(update={"splits": (TEST,)})
        return measure(predictions_table(photos, self.class_names, probabilities), settings)[TEST]

    def _test_photos(self) -> pd.DataFrame:
        return self.split_manifest[self.split_manifest["split"] == TEST]
