"""What passes between the pipeline and the registry: the champion that is there, and the proposal of a candidate."""

from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from gender_pipeline.files import text_digest
from gender_pipeline.images.shards import ShardStore
from gender_pipeline.registration.gate import RegistrationSettings, Verdict
from gender_pipeline.schema import TEST
from gender_pipeline.training import FeatureCache, TrainedModel, predict_photos


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that holds `production`."""

    version: str
    model: TrainedModel
    drawn: bool


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate with its verdict; `data_digest` names the labelled, split photos it was trained and tested on."""

    model: TrainedModel
    verdict: Verdict
    model_card: str
    data_digest: str
    settings: RegistrationSettings

    @classmethod
    def of(
        cls,
        model: TrainedModel,
        verdict: Verdict,
        model_card: str,
        split_manifest: pd.DataFrame,
        settings: RegistrationSettings,
    ) -> Self:
        """Make a proposal, with the digest of the split manifest's photos, labels and splits."""
        return cls(model, verdict, model_card, split_digest(split_manifest), settings)


def split_digest(split_manifest: pd.DataFrame) -> str:
    """Return the sha256 over (image_id, source, label, split) of all rows; independent of the rows' order."""
    rows = split_manifest[["image_id", "source", "label", "split"]].sort_values(["image_id", "source"])
    return text_digest(rows.to_csv(index=False, lineterminator="\n"))


def score_on_test(
    champion: Champion,
    predictions: pd.DataFrame,
    *,
    image_shards: ShardStore,
    feature_cache: FeatureCache,
    crops: int = 1,
) -> dict[str, Any]:
    """Score the champion as the candidate was: on the test rows of its predictions table, with as many crops.

    Returns:
        Version, accuracy in [0, 1], class names and kind of data of the champion.
    """
    test = predictions[predictions["split"] == TEST]
    probabilities = predict_photos(champion.model, list(test["image_id"]), image_shards, feature_cache, crops=crops)
    names = champion.model.class_names
    predicted = [names[index] for index in probabilities.argmax(axis=1)]
    accuracy = float((test["label"] == pd.Series(predicted, index=test.index)).mean())
    return {"version": champion.version, "accuracy": accuracy, "class_names": list(names), "drawn": champion.drawn}
