"""Put photos into train, validation and test: pins first, then the own rule; conflicts are excluded, never moved."""

from typing import Final

import numpy as np
import pandas as pd

from gender_pipeline.errors import SplittingError, examples
from gender_pipeline.schema import EXCLUDED, SPLITS, TEST
from gender_pipeline.splitting.duplicates import subject_keys
from gender_pipeline.splitting.filling import fill_sides
from gender_pipeline.splitting.protocols import official_pins
from gender_pipeline.splitting.settings import SplittingSettings

_NO_SIDE: Final = -1
_EXCLUDED_SIDE: Final = -2  # below every side, so that a group's highest side is the one nearest to the test
_SIDES: Final = {EXCLUDED: _EXCLUDED_SIDE, **{split: side for side, split in enumerate(SPLITS)}}
_NAMES: Final = {side: split for split, side in _SIDES.items()}


def split_photos(
    manifest: pd.DataFrame, groups: pd.Series, previous: pd.DataFrame | None, settings: SplittingSettings
) -> pd.DataFrame:
    """Put every group on one side, as near to the shares within each source and class as groups allow.

    A photo whose side is official, and a subject of the previous split, is pinned: it keeps its side. Groups without a
    pin come in the order of a seeded hash, each to the side that lacks most photos of its source and class. Where a
    group holds pins of several sides, the side nearest to the test keeps its photos and those pinned elsewhere are
    excluded; so is a photo whose official side is not that of the previous split. A photo once excluded stays so.

    Args:
        manifest: N photos with the columns `source, name, subject_id, label, official_split`.
        groups: N group ids under the manifest's index, as `group_subjects` gives them.
        previous: An earlier result, or None; only its rows made by equal settings count.
        settings: Shares, seed and protocol.

    Returns:
        The manifest's rows in their order with three more columns: `group`, `split` (`train`, `validation`, `test` or
        `excluded`) and `split_settings` (digest of the settings, 64 hex digits).

    Raises:
        SplittingError: When a label is missing, a data set lacks a part of the official protocol, or a class has too
            few groups for three sides.
    """
    _check_labels(manifest)
    pins, untested = _pins(manifest, previous, settings)
    side = pins.groupby(groups).transform("max").clip(lower=_NO_SIDE)
    kept = (pins == _NO_SIDE) | (pins == side)
    kept &= ~(untested & (side == _SIDES[TEST]))
    photos = manifest.assign(group=groups, side=side, untested=untested)[kept]
    filled = groups.map(fill_sides(_group_table(photos), settings))
    split = filled.where(kept, _EXCLUDED_SIDE).map(_NAMES)
    _check_classes(manifest["label"], split, groups)
    return manifest.assign(group=groups, split=split, split_settings=settings.digest())


def _pins(
    manifest: pd.DataFrame, previous: pd.DataFrame | None, settings: SplittingSettings
) -> tuple[pd.Series, pd.Series]:
    """Return each photo's pinned side (N,) int, and which photos (N,) bool may be on any side but the test."""
    official, untested = official_pins(manifest, settings)
    earlier = _previous_sides(manifest, previous, settings)
    pins = official.map(_SIDES).astype("float").fillna(earlier).astype("int64")
    # A data set that fell back to the own rule may get its official parts later: what stands elsewhere cannot move.
    moved = (earlier != _NO_SIDE) & (pins != earlier) | untested & (earlier == _SIDES[TEST])
    return pins.mask(moved, _EXCLUDED_SIDE), untested


def _previous_sides(manifest: pd.DataFrame, previous: pd.DataFrame | None, settings: SplittingSettings) -> pd.Series:
    """Return the side (N,) of each photo's subject in the previous split: -1 if new, -2 if the photo was excluded."""
    keys = subject_keys(manifest)
    if previous is None:
        return pd.Series(_NO_SIDE, index=keys.index)
    same = previous[previous["split_settings"] == settings.digest()]
    sides = same["split"].map(_SIDES).groupby(subject_keys(same)).max()
    excluded = _photo_keys(manifest).isin(_photo_keys(same[same["split"] == EXCLUDED]))
    return keys.map(sides).fillna(_NO_SIDE).astype("int64").mask(excluded, _EXCLUDED_SIDE)


def _photo_keys(photos: pd.DataFrame) -> pd.Series:
    return photos["source"].astype("str") + "/" + photos["name"].astype("str")


def _group_table(photos: pd.DataFrame) -> pd.DataFrame:
    """Return one row a group: `photos`, `side`, `untested`, and the `source` and `label` of most of its photos.

    Equal counts are decided by the first photo by name, not by the label, so that renaming classes changes nothing.
    """
    ordered = photos.sort_values(["source", "name"]).assign(place=np.arange(len(photos)))
    by_group = ordered.groupby("group")
    table = by_group.agg(photos=("side", "size"), side=("side", "first"), untested=("untested", "any"))
    for column in ("source", "label"):
        counts = ordered.groupby(["group", column], observed=True)["place"].agg(["size", "min"]).reset_index()
        most = counts.sort_values(["size", "min"], ascending=[False, True]).drop_duplicates("group")
        table[column] = most.set_index("group")[column]
    return table


def _check_labels(manifest: pd.DataFrame) -> None:
    missing = manifest["name"][manifest["label"].isna()]
    if len(missing):
        raise SplittingError(
            "photos without a label cannot be split", received=examples(missing), remedy="quarantine them first"
        )
    if manifest["label"].nunique() < 2:
        received = examples(manifest["label"].unique()) or "no photo"
        raise SplittingError("the photos are of one class only", expected="two classes or more", received=received)


def _check_classes(labels: pd.Series, split: pd.Series, groups: pd.Series) -> None:
    photos = pd.crosstab(labels, split).reindex(columns=list(SPLITS), fill_value=0)
    for label, counts in photos.iterrows():
        absent = counts.index[counts == 0]
        if len(absent):
            raise SplittingError(
                f"class {label} has no photo in {examples(absent)}",
                expected=f"at least {len(SPLITS)} subjects of each class free to be on any side",
                received=f"{groups[labels == label].nunique()} (near-duplicates count as one)",
                remedy="add photos of more subjects",
            )
