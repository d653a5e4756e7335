"""The vocabulary all chapters share: a photo, the manifest's columns, the splits, and the base of all settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
EXCLUDED: Final = "excluded"
SPLITS: Final = (TRAIN, VALIDATION, TEST)


class Settings(BaseModel):
    """Base of every typed block of parameters: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


def plain(value: Any) -> Any:
    """Turn typed settings, alone or inside of mappings and lists, into what JSON and YAML can hold."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Photo:
    """One row a reader yields: what the data set says of a photo, and the photo's encoded bytes.

    Attributes:
        name: Path inside the data set, unique in it (`jpg/i500qa-fn.jpg`).
        data: Encoded bytes as they stand in the archive; empty where the photo is missing or refused.
        subject_id: The data set's own id of the person; the photo's name where the data set has none.
        label: Name of the class (`female`, `male`), or None where the data set gives none.
        age_years: Age, the middle of its bin where the data set gives bins, or None.
        attributes: Further annotations by name.
        box: Face box as (x, y, width, height) in pixels, or None.
        landmarks: Landmark coordinates (x0, y0, x1, y1, ...) in pixels, or None.
        official_split: `train`, `validation`, `test`, `fold_0`, ... where the data set publishes one.
        publishable: Whether the photo may be shown in reports.
        problem: Why the row cannot be used (`row without a photo`), or None.
    """

    name: str
    data: bytes
    subject_id: str
    label: str | None
    age_years: float | None = None
    attributes: Mapping[str, str | int | float] = field(default_factory=lambda: MappingProxyType({}))
    box: tuple[float, float, float, float] | None = None
    landmarks: tuple[float, ...] | None = None
    official_split: str | None = None
    publishable: bool = False
    problem: str | None = None


MANIFEST_SCHEMA: Final = pa.schema(
    [
        ("image_id", pa.string()),  # sha256 of the encoded bytes, 64 hex digits
        ("source", pa.string()),
        ("name", pa.string()),  # Photo.name; (source, name) is the key of a row
        ("subject_id", pa.string()),
        ("label", pa.string()),
        ("age_years", pa.float32()),
        ("attributes", pa.string()),  # JSON object
        ("width_px", pa.int32()),  # 0 where the image cannot be read
        ("height_px", pa.int32()),
        ("box", pa.list_(pa.float32())),
        ("landmarks", pa.list_(pa.float32())),
        ("official_split", pa.string()),
        ("phash", pa.binary(32)),  # 256-bit perceptual hash; null where the image cannot be read
        ("contrast", pa.float32()),  # standard deviation of the grey values, 0-128
        ("grey", pa.bool_()),  # True where all pixels have three equal channels
        ("publishable", pa.bool_()),
        ("problem", pa.string()),  # why the row cannot be used, or null
    ]
)
SHARD_SCHEMA: Final = MANIFEST_SCHEMA.append(pa.field("image", pa.binary()))
