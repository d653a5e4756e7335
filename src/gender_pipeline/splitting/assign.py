"""Assign groups of photos to train, validation and test: stratified, and stable when the data grow."""

import hashlib
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gender_pipeline.errors import SplittingError, examples
from gender_pipeline.schema import EXCLUDED, SPLITS, TEST
from gender_pipeline.splitting.duplicates import subject_keys
from gender_pipeline.splitting.protocols import official_pins
from gender_pipeline.splitting.settings import SplittingSettings

# Sides by rank: of two pins in one group the higher wins, so that what is tested stays tested.
_SIDES: Final = (EXCLUDED, *SPLITS)


def split_photos(
    manifest: pd.DataFrame, groups: pd.Series, previous: pd.DataFrame | None, settings: SplittingSettings
) -> pd.DataFrame:
    """Put every group on one side, as near to the shares within each source and class as groups allow.

    A subject of the previous split, and a photo whose side is official, is pinned: it keeps its side. The other groups
    come in the order of a seeded hash, each to the side that lacks most photos of its source and class. Where a group
    holds pins of several sides, the side nearest to the test keeps its photos and the others are excluded, never moved.

    Args:
        manifest: N photos with the columns `source, name, subject_id, label, official_split`.
        groups: N group ids under the manifest's index, as `group_subjects` gives them.
        previous: An earlier result, or None; only rows made by equal settings count.
        settings: Shares, seed and protocol.

    Returns:
        The manifest's rows in their order with three more columns: `group`, `split` (`train`, `validation`, `test` or
        `excluded`) and `split_settings` (digest of the settings, 64 hex digits).

    Raises:
        SplittingError: When a label is missing, a data set lacks a part of the official protocol, or a class has too
            few groups for three sides.
    """
    _check_labels(manifest)
    pins, untested = official_pins(manifest, settings)
    pins = pins.fillna(_previous_sides(manifest, previous, settings))
    ranks = pins.map(_SIDES.index, na_action="ignore").fillna(-1).astype("int8")
    side = ranks.groupby(groups).transform("max").clip(lower=0)  # 0: the group has no side yet
    usable = (ranks != 0) & ~(untested & (side == _SIDES.index(TEST)))
    usable &= (side == 0) | ranks.isin([-1]) | (ranks == side)
    table = _group_table(manifest.assign(group=groups, side=side, untested=untested)[usable])
    side = side.where(side > 0, groups.map(_assign(table, settings)))
    split = pd.Series(np.array(_SIDES)[side.where(usable, 0).to_numpy(dtype=int)], index=manifest.index)
    _check_classes(manifest["label"], split, groups)
    return manifest.assign(group=groups, split=split, split_settings=settings.digest())


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
        if (counts == 0).any():
            raise SplittingError(
                f"class {label} has no photo in {examples(counts.index[counts == 0])}",
                expected=f"at least {len(SPLITS)} subjects of every class free for all sides",
                received=f"{groups[labels == label].nunique()} (near-duplicates count as one)",
                remedy="add photos of more subjects, or see the official protocol's parts",
            )


def _previous_sides(manifest: pd.DataFrame, previous: pd.DataFrame | None, settings: SplittingSettings) -> pd.Series:
    """Return the side (N,) on which the previous split has each row's subject; None where it is new."""
    keys = subject_keys(manifest)
    if previous is None:
        return pd.Series(None, index=keys.index, dtype=object)
    same = previous[previous["split_settings"] == settings.digest()]
    ranks = same["split"].map(_SIDES.index).groupby(subject_keys(same)).max()
    return keys.map(ranks.map(dict(enumerate(_SIDES)).get)).astype(object)


def _group_table(photos: pd.DataFrame) -> pd.DataFrame:
    """Return one row a group: `photos`, `source` and `label` of most of them, `side` (0 = none yet), `untested`.

    Equal counts are decided by the first photo by name, not by the label, so that renaming classes changes nothing.
    """
    ordered = photos.sort_values(["source", "name"])
    ordered["place"] = np.arange(len(ordered))
    by_group = ordered.groupby("group")
    table = by_group.agg(photos=("side", "size"), side=("side", "first"), untested=("untested", "any"))
    for column in ("source", "label"):
        counts = ordered.groupby(["group", column], observed=True)["place"].agg(["size", "min"]).reset_index()
        most = counts.sort_values(["group", "size", "min"], ascending=[True, False, True]).drop_duplicates("group")
        table[column] = most.set_index("group")[column]
    return table


def _assign(table: pd.DataFrame, settings: SplittingSettings) -> pd.Series:
    """Return the side (1-3) of each group of the table."""
    shares = np.array(settings.shares.in_order())
    seeded = [hashlib.sha256(f"{settings.seed}:{group}".encode()).digest() for group in table.index]
    table = table.assign(rank=seeded).sort_values("rank")
    n_groups = table.groupby(["label", "source"], observed=True)["photos"].transform("size")
    # A stratum with less than one group for the smallest share cannot hold the shares: it helps to fill its class's.
    table["stratum"] = table["source"].astype(object).where(n_groups * shares.min() >= 1, None)
    classes = [_assign_class(groups, shares) for _, groups in table.groupby("label", observed=True)]
    return pd.concat(classes) if classes else pd.Series(dtype=int)


def _assign_class(groups: pd.DataFrame, shares: NDArray[np.float64]) -> pd.Series:
    """Assign one class's groups: the strata one after the other, at last the small ones to the class's own deficits."""
    side = groups["side"].copy()
    for _, stratum in groups[groups["stratum"].notna()].groupby("stratum"):
        _fill(side, stratum, stratum, shares)
    _fill(side, groups[groups["stratum"].isna()], groups, shares)
    return side
