"""What is exported, and how far an exported file may be from the model it was made of."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from gender_pipeline.export.networks import SAVED_MODEL
from gender_pipeline.schema import Settings

Format: TypeAlias = Literal["saved_model", "onnx", "float32", "float16", "dynamic", "int8"]

KERAS: Final = "keras"  # the model itself, beside its exports
FILES: Final[Mapping[Format, str]] = MappingProxyType(
    {
        "saved_model": SAVED_MODEL,
        "onnx": "model.onnx",
        "float32": "float32.tflite",
        "float16": "float16.tflite",
        "dynamic": "dynamic.tflite",
        "int8": "int8.tflite",
    }
)


class Tolerance(Settings):
    """How far an exported file may be from the model, on photos that it was not trained on.

    Attributes:
        equal_labels: Least share of photos that get the model's label, in [0, 1].
        probability_difference: Largest difference of a probability, in [0, 1].
        accuracy_loss: Most that may be lost in accuracy, in [0, 1].
    """

    equal_labels: float = Field(ge=0, le=1)
    probability_difference: float = Field(ge=0, le=1)
    accuracy_loss: float = Field(ge=0, le=1)


class ExportSettings(Settings):
    """What is exported and how it is compared.

    Attributes:
        formats: What is written; also as one text with blanks between, which `--params` can carry.
        n_representative: Train photos that `int8` takes the ranges of its values from.
        float_share: Share of its operations that `int8` leaves in float32, the first ones, in [0, 1): more of them cost
            speed, and make the answers more like the model's.
        n_photos: Test photos that the files are compared on; all there are where those are fewer.
        repeats: Calls with one photo of which the median is a latency; with 32 photos a fifth as many.
        tolerances: One for each format, and `keras` for the model itself where it computes in half precision.
    """

    formats: tuple[Format, ...] = Field(default=tuple(FILES), min_length=1)
    n_representative: int = Field(default=200, ge=1, le=10_000)
    float_share: float = Field(default=0.6, ge=0, lt=1)
    n_photos: int = Field(default=2000, ge=1, le=20_000)
    repeats: int = Field(default=30, ge=1, le=10_000)
    tolerances: Mapping[Format | Literal["keras"], Tolerance]

    @field_validator("formats", mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _has_all_tolerances(self) -> Self:
        if missing := [name for name in (KERAS, *self.formats) if name not in self.tolerances]:
            raise ValueError(f"no tolerance for {', '.join(missing)}")
        return self
