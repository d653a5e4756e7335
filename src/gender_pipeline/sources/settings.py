"""What `conf/` says of one data set, and of all of them."""

from typing import Any, Literal

from pydantic import Field, field_validator

from gender_pipeline.schema import Settings
from gender_pipeline.sources.archives import ArchiveLimits


class SourceSettings(Settings):
    """One data set; `label` and `subject_pattern` matter to the reader they name, the others to every reader.

    Attributes:
        reader: A key of `SOURCES`: `muct`, `celeba`, `age_gender`, `peta`, `rap`, `folder`, `sample`.
        folder: Where the data set lies, below the raw root.
        label: celeba: the attributes whose values make the class; ("Male", "Young") gives four classes.
        publishable: Whether its photos may be shown: None follows the reader's rule, True and False hold for all.
        subject_pattern: folder: regular expression, searched in a photo's name, whose one group is the subject's id;
            None makes every photo its own subject.
        crop: `face` where the photos are whole ones, as people take them: each is replaced by the crop of its largest
            face. `none` where they are aligned already, or show no faces.
        limits: What an archive may hold at most.
    """

    reader: str
    folder: str
    label: tuple[str, ...] = Field(("Male",), min_length=1)
    publishable: bool | None = None
    subject_pattern: str | None = None
    crop: Literal["none", "face"] = "none"
    limits: ArchiveLimits = ArchiveLimits()


class SourcesSettings(Settings):
    """All data sets of a run.

    Attributes:
        data_sets: Settings by the name that the manifest's column `source` gets; None takes a data set out that
            another environment has put in.
    """

    data_sets: dict[str, SourceSettings]

    @field_validator("data_sets", mode="before")
    @classmethod
    def _leave_out_none(cls, value: Any) -> Any:
        return {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else value
