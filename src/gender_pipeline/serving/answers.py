"""The server's answers: their shape for OpenAPI, and how they come from a predictor's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np
from pydantic import BaseModel, Field

from gender_pipeline.export.predictor import FaceAnswer, PhotoAnswer
from gender_pipeline.serving.models import ServedModel
from gender_pipeline.serving.uploads import Upload

DISCLAIMER: Final = (
    "A label says how annotators would name the apparent gender in this photo. It is not the person's identity, and "
    "it is no ground for a decision about anybody."
)


class ModelName(BaseModel):
    """Which model answered."""

    name: str = Field(examples=["gender-classifier"])
    version: str = Field(examples=["3"], description="Its number in the registry; empty for a file.")


class BoxAnswer(BaseModel):
    """Where a face is, in pixels of the upright photo; a face at an edge may reach over it."""

    x: int
    y: int
    width: int
    height: int


class FaceResult(BaseModel):
    """The answer for a face, or for a photo as it is."""

    box: BoxAnswer | None = Field(description="Null where no faces were looked for.")
    label: str = Field(examples=["female"])
    probability: float = Field(examples=[0.97])
    probabilities: dict[str, float] = Field(examples=[{"female": 0.97, "male": 0.03}], description="Largest first.")


class PhotoResult(BaseModel):
    """The answers for a photo."""

    name: str | None = Field(description="Its file name in the form; null for a body of raw bytes.")
    faces: list[FaceResult] = Field(description="The largest face first.")
    problem: str | None = Field(examples=[None, "no face", "truncated"], description="Why there is no answer.")


class Prediction(BaseModel):
    """Answer of `/predict`."""

    model: ModelName
    disclaimer: str = DISCLAIMER
    photos: list[PhotoResult] = Field(description="In the order they were sent.")


class HeatMap(BaseModel):
    """Answer of `/heat-map`."""

    grid: list[list[float]] = Field(description="Rows from the top, in [0, 1]: how much hangs on that part.")
    box: BoxAnswer | None = Field(description="The square around a face that the grid covers; null for a whole photo.")
    label: str
    probability: float


class ModelDescription(ModelName):
    """Answer of `/model`."""

    commit: str = Field(description="Git commit it can be rebuilt from; empty where none is known.")
    card: str = Field(description="Its model card, Markdown; empty where there is none.")
    classes: list[str]
    crop: str = Field(description="What is done with a photo: `face`, every face is answered; `none`, it is as it is.")
    framing: str = Field(description="What of a photo is seen: its centre `square`, or the `whole` of it.")
    image_size_px: int
    facts: dict[str, str]
    since: datetime
    disclaimer: str = DISCLAIMER


class Refusal(BaseModel):
    """Answer to a request that is refused; empty parts are left out."""

    error: str = Field(examples=["the request is too large"])
    expected: str = Field(default="", examples=["at most 33554432 bytes"])
    received: str = Field(default="", examples=["52428800 bytes"])
    remedy: str = Field(default="", examples=["send fewer or smaller photos"])


def prediction(
    model: ServedModel, uploads: Sequence[Upload], answers: Sequence[PhotoAnswer], top: int | None
) -> Prediction:
    """Return the answer of `/predict` for n photos, with the `top` most probable classes or all."""
    names = model.predictor.class_names
    photos = [
        PhotoResult(
            name=upload.name, faces=[face_result(face, names, top) for face in answer.faces], problem=answer.problem
        )
        for upload, answer in zip(uploads, answers, strict=True)
    ]
    return Prediction(model=ModelName(name=model.name, version=model.version), photos=photos)


def face_result(face: FaceAnswer, names: Sequence[str], top: int | None = None) -> FaceResult:
    """Return the answer for a face with the `top` most probable of the k classes `names`, or all."""
    order = np.argsort(-face.probabilities, kind="stable")[:top]
    probabilities = {names[index]: float(face.probabilities[index]) for index in order}
    label = names[order[0]]
    return FaceResult(
        box=box_answer(face.box), label=label, probability=probabilities[label], probabilities=probabilities
    )


def box_answer(box: tuple[int, int, int, int] | None) -> BoxAnswer | None:
    """Return a face's box by names."""
    return None if box is None else BoxAnswer(**dict(zip(("x", "y", "width", "height"), box, strict=True)))


def describe(model: ServedModel) -> ModelDescription:
    """Return the answer of `/model`."""
    predictor = model.predictor
    return ModelDescription(
        name=model.name,
        version=model.version,
        commit=model.commit,
        card=model.card,
        classes=list(predictor.class_names),
        crop=predictor.crop,
        framing=predictor.framing,
        image_size_px=predictor.image_size_px,
        facts=predictor.facts,
        since=model.since,
    )
