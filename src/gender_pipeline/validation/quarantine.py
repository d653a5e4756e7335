"""Bad photos: which rows of a manifest cannot be used, each with its reason; nothing is dropped silently."""

from collections.abc import Callable
from typing import Final, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from gender_pipeline.schema import Settings

KEY: Final = ["source", "name"]
QUARANTINE_COLUMNS: Final = [*KEY, "image_id", "reason", "detail"]
NO_LABEL: Final = "no label"


class ValidationSettings(Settings):
    """What a photo must be to stay, and what the photos that stay must be together (the gate).

    Every share lies in [0, 1]. A threshold "of a source" holds for each source and again for all photos together.

    Attributes:
        classes: Names of the classes; the order has no meaning here.
        min_side_px: Smallest width or height of a photo, in pixels.
        max_side_px: Largest width or height of a photo, in pixels.
        min_age_years: Smallest plausible age, in years.
        max_age_years: Largest plausible age, in years.
        min_photos: Fewest photos that stay in a source.
        min_photos_total: Fewest photos that stay in all.
        min_class_share: Smallest share of the rarest class among the photos of a source.
        min_subjects_a_class: Fewest subjects of each class in a source.
        min_label_coverage: Smallest share of a source's photos that have a label, before the quarantine.
        max_quarantine_share: Largest share of a source's photos quarantined for another reason than a missing label.
        max_mixed_label_share: Largest share of a source's photos labelled otherwise than most photos of their subject.
            Wide by default, because a subject of Adience is an album, which may show a family.
    """

    classes: tuple[str, ...] = Field(default=("female", "male"), min_length=2)
    min_side_px: int = Field(default=32, ge=1)
    max_side_px: int = Field(default=8192, ge=1)
    min_age_years: float = Field(default=0, ge=0)
    max_age_years: float = Field(default=120, ge=0)
    min_photos: int = Field(default=100, ge=1)
    min_photos_total: int = Field(default=500, ge=1)
    min_class_share: float = Field(default=0.1, gt=0, le=0.5)
    min_subjects_a_class: int = Field(default=10, ge=1)
    min_label_coverage: float = Field(default=0.8, ge=0, le=1)
    max_quarantine_share: float = Field(default=0.1, ge=0, le=1)
    max_mixed_label_share: float = Field(default=0.25, ge=0, le=1)

    @model_validator(mode="after")
    def _check_that_photos_can_pass(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes must differ from each other, received {', '.join(self.classes)}")
        if self.min_class_share > 1 / len(self.classes):
            raise ValueError(f"min_class_share {self.min_class_share} cannot be met by {len(self.classes)} classes")
        if self.min_side_px > self.max_side_px or self.min_age_years > self.max_age_years:
            raise ValueError("min_side_px and min_age_years must not exceed max_side_px and max_age_years")
        return self


def find_quarantine(manifest: pd.DataFrame, settings: ValidationSettings) -> pd.DataFrame:
    """Find the photos that cannot be used.

    Args:
        manifest: One row a photo, columns of `MANIFEST_SCHEMA`; `problem` holds what reader and image checks found,
            as `<reason>` or `<reason>: <detail>`.
        settings: Classes, sizes and ages that are allowed.

    Returns:
        The table of `QUARANTINE_COLUMNS`, all str, one row a bad photo in the manifest's order. The first reason of
        `CHECKS` wins, so a photo never counts as the duplicate of one that is bad itself. `detail` may be empty.
    """
    rows = manifest.reset_index(drop=True)
    # Counted before anything is set aside: `clean_manifest` finds rows by this key, so a bad row takes its twin along.
    rows = left = rows.assign(repeated=rows.duplicated(KEY, keep=False))
    found = []
    for check in CHECKS:
        found.append(check(left, settings))
        left = left.drop(found[-1].index)
    reasons = pd.concat(found).sort_index()
    return rows[[*KEY, "image_id"]].join(reasons, how="inner").reset_index(drop=True).astype("str")


def clean_manifest(manifest: pd.DataFrame, quarantine: pd.DataFrame) -> pd.DataFrame:
    """Return the photos that stay: the manifest's rows whose (source, name) is not quarantined, index reset."""
    bad = pd.MultiIndex.from_frame(manifest[KEY]).isin(pd.MultiIndex.from_frame(quarantine[KEY]))
    return manifest[~bad].reset_index(drop=True)


def _known_problems(rows: pd.DataFrame, _: ValidationSettings) -> pd.DataFrame:
    # A detail may hold ": " and line breaks itself (file names do): only the first ": " divides.
    problems = rows["problem"].dropna().astype("str")
    return problems.str.extract(r"(?s)^(?P<reason>.*?)(?:: (?P<detail>.*))?$").fillna("")


def _repeated_name(rows: pd.DataFrame, _: ValidationSettings) -> pd.DataFrame:
    # Tables refer to photos by name, so nobody can say which of the photos a label belongs to: all of them go.
    return _with_reason("repeated name", rows[rows["repeated"]]["name"])


def _no_subject(rows: pd.DataFrame, _: ValidationSettings) -> pd.DataFrame:
    return _with_reason("no subject", _empty(rows["subject_id"]))


def _no_label(rows: pd.DataFrame, _: ValidationSettings) -> pd.DataFrame:
    return _with_reason(NO_LABEL, _empty(rows["label"]))


def _unknown_class(rows: pd.DataFrame, settings: ValidationSettings) -> pd.DataFrame:
    labels = rows["label"][~rows["label"].isin(settings.classes)]
    return _with_reason("unknown class", labels + f", expected {' or '.join(settings.classes)}")


def _image_size(rows: pd.DataFrame, settings: ValidationSettings) -> pd.DataFrame:
    sides = rows[["width_px", "height_px"]]
    fits = ((sides >= settings.min_side_px) & (sides <= settings.max_side_px)).all(axis=1)
    bad = sides[~fits].astype("str")
    expected = f" px, expected sides of {settings.min_side_px} to {settings.max_side_px} px"
    return _with_reason("image size out of range", bad["width_px"] + " x " + bad["height_px"] + expected)


def _age(rows: pd.DataFrame, settings: ValidationSettings) -> pd.DataFrame:
    ages = rows["age_years"].dropna()
    bad = ages[~ages.between(settings.min_age_years, settings.max_age_years)]
    expected = f" years, expected {settings.min_age_years:g} to {settings.max_age_years:g}"
    return _with_reason("age out of range", bad.astype("str") + expected)


def _box(rows: pd.DataFrame, _: ValidationSettings) -> pd.DataFrame:
    rows = rows[rows["box"].notna()]
    four = rows["box"][rows["box"].map(len) == 4]
    corners = np.array(four.tolist(), dtype=float).reshape(-1, 4)
    numbers = pd.DataFrame(corners, index=four.index, columns=["x", "y", "width", "height"])
    # Detectors' boxes often reach a little over the border; one whose centre is outside belongs to another photo.
    centre_x, centre_y = numbers["x"] + numbers["width"] / 2, numbers["y"] + numbers["height"] / 2
    inside = (numbers["width"] > 0) & (numbers["height"] > 0)
    inside &= centre_x.between(0, rows["width_px"][four.index]) & centre_y.between(0, rows["height_px"][four.index])
    bad = rows.drop(inside.index[inside])
    size = " in an image of " + bad["width_px"].astype("str") + " x " + bad["height_px"].astype("str") + " px"
    return _with_reason("box outside of the image", bad["box"].map(lambda box: str([*map(float, box)])) + size)


def _duplicates(rows: pd.DataFrame, _: ValidationSettings) -> pd.DataFrame:
    copies = rows[rows.duplicated("image_id", keep=False)]
    images = copies.groupby("image_id", sort=False)
    contradicting = images["label"].transform("nunique") > 1
    # Of more than two labels the first and the last by name are told.
    labels = "labels " + images["label"].transform("min") + " and " + images["label"].transform("max")
    first = "same bytes as " + images["source"].transform("first") + "/" + images["name"].transform("first")
    later = ~contradicting & copies.duplicated("image_id")
    return pd.concat(
        [_with_reason("contradicting labels", labels[contradicting]), _with_reason("duplicate", first[later])]
    )


def _empty(texts: "pd.Series[str]") -> "pd.Series[str]":
    return texts[texts.fillna("") == ""].fillna("")


def _with_reason(reason: str, details: "pd.Series[str]") -> pd.DataFrame:
    return pd.DataFrame({"reason": reason, "detail": details}, dtype="str")


CHECKS: Final[tuple[Callable[[pd.DataFrame, ValidationSettings], pd.DataFrame], ...]] = (
    _known_problems,
    _repeated_name,
    _no_subject,
    _no_label,
    _unknown_class,
    _image_size,
    _age,
    _box,
    _duplicates,  # last: among photos that are good for themselves
)
