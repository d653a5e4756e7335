"""What passes between the pipeline and the registry: the champion that is there, and the proposal of a candidate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from gender_pipeline.evaluation import EvaluationSettings
from gender_pipeline.evaluation.predictions import class_names_of
from gender_pipeline.files import text_digest
from gender_pipeline.registration.gate import RegistrationSettings, Verdict
from gender_pipeline.registration.paired import paired_test
from gender_pipeline.schema import TEST
from gender_pipeline.training import FeatureCache, ImageSource, TrainedModel, predict_photos


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that holds `production`.

    Attributes:
        version: Its number.
        model: The model.
        drawn: Whether it was trained on drawn faces.
        recorded: The predictions table of the run that made it; None where that cannot be read.
        recorded_crops: Crops a photo in that table.
    """

    version: str
    model: TrainedModel
    drawn: bool
    recorded: pd.DataFrame | None = None
    recorded_crops: int = 1


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate with its verdict.

    Attributes:
        model: The candidate.
        verdict: The gate's verdict.
        model_card: Markdown.
        data_digest: Names the labelled, split photos it was trained and tested on.
        metrics: Its metrics by name (`test.accuracy`).
        settings: Where it goes, and whether by itself.
    """

    model: TrainedModel
    verdict: Verdict
    model_card: str
    data_digest: str
    metrics: Mapping[str, float]
    settings: RegistrationSettings

    @classmethod
    def of(
        cls,
        model: TrainedModel,
        verdict: Verdict,
        model_card: str,
        *,
        split_manifest: pd.DataFrame,
        metrics: Mapping[str, float],
        settings: RegistrationSettings,
    ) -> Self:
        """Make a proposal, with the digest of the split manifest's photos, labels and splits."""
        return cls(model, verdict, model_card, split_digest(split_manifest), metrics, settings)


def split_digest(split_manifest: pd.DataFrame) -> str:
    """Return the sha256 over (image_id, source, label, split) of all rows; independent of the rows' order."""
    rows = split_manifest[["image_id", "source", "label", "split"]].sort_values(["image_id", "source"])
    return text_digest(rows.to_csv(index=False, lineterminator="\n"))


def score_on_test(
    champion: Champion,
    candidate: TrainedModel,
    predictions: pd.DataFrame,
    *,
    image_shards: ImageSource,
    feature_cache: FeatureCache,
    evaluation: EvaluationSettings,
    settings: RegistrationSettings,
) -> dict[str, Any]:
    """Compare champion and candidate on the test rows of the candidate's predictions table.

    Returns:
        `version`, `class_names` and `drawn` of the champion, `computed` (photos it had to answer anew), and `test`
        (a `PairedTest`, or None without test photos).
    """
    photos = predictions[predictions["split"] == TEST].reset_index(drop=True)
    answers = _known_answers(champion, candidate, photos, evaluation.test_crops)
    unknown = answers.isna()
    if unknown.any():
        names, ids = np.array(champion.model.class_names, dtype=object), photos.loc[unknown, "image_id"].tolist()
        p_class = predict_photos(champion.model, ids, image_shards, feature_cache, crops=evaluation.test_crops)
        answers[unknown] = names[p_class.argmax(axis=1)]
    test = None
    if len(photos):
        test = paired_test(
            (photos["label"] == photos["predicted"]).to_numpy(dtype=bool),
            (photos["label"] == answers).to_numpy(dtype=bool),
            photos["group"].to_numpy(dtype=object),
            confidence=settings.confidence,
            resamples=evaluation,
        )
    return {
        "version": champion.version,
        "class_names": list(champion.model.class_names),
        "drawn": champion.drawn,
        "computed": int(unknown.sum()),
        "test": test,
    }


def _known_answers(champion: Champion, candidate: TrainedModel, photos: pd.DataFrame, crops: int) -> "pd.Series[Any]":
    """Return the label that the champion gave each of N photos, null where it has not been asked in the same way."""
    if champion.model.weights_digest == candidate.weights_digest:
        return photos["predicted"].astype(object)
    recorded = champion.recorded
    if recorded is None or champion.recorded_crops != crops or class_names_of(recorded) != champion.model.class_names:
        return pd.Series(None, index=photos.index, dtype=object)
    return (
        photos["image_id"].map(recorded.drop_duplicates("image_id").set_index("image_id")["predicted"]).astype(object)
    )
