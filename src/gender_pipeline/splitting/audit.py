"""The proof of a split: nobody on two sides, and how near the classes are to their shares."""

from typing import Final

import pandas as pd

from gender_pipeline.errors import SplittingError, examples
from gender_pipeline.schema import EXCLUDED, SPLITS, TEST
from gender_pipeline.splitting.duplicates import subject_keys

_STRATUM: Final = ["source", "label"]


def audit_split(split_manifest: pd.DataFrame) -> pd.DataFrame:
    """Prove that no subject and no group is in two splits, and count what is where.

    Args:
        split_manifest: N photos as `split_photos` gives them.

    Returns:
        One row for each source, label, split and reason: `photos`, `subjects`, `groups` (counts), `share` (of the
        photos of its source and label, 0-1), `reason` (why photos are excluded, else empty) and `protocol` (whose
        sides its source is on: `own split`, `official partition` or `fold_0 tested`).

    Raises:
        SplittingError: When a subject or a group is in two of train, validation and test.
    """
    photos = split_manifest.assign(subject=subject_keys(split_manifest), reason=_reasons(split_manifest))
    for column in ("subject", "group"):
        _check_disjoint(photos, column)
    table = photos.groupby([*_STRATUM, "split", "reason"], observed=True).agg(
        photos=("name", "size"), subjects=("subject", "nunique"), groups=("group", "nunique")
    )
    table["share"] = table["photos"] / table.groupby(_STRATUM, observed=True)["photos"].transform("sum")
    table = table.reset_index()[[*_STRATUM, "split", "photos", "subjects", "groups", "share", "reason"]]
    protocols = {source: _protocol(rows) for source, rows in photos.groupby("source", observed=True)}
    return table.assign(protocol=table["source"].map(protocols))


def protocol_text(split_audit: pd.DataFrame) -> str:
    """Return in one line which protocol each data set was split by: `official partition (celeba); own split (muct)`."""
    sources = split_audit.groupby("protocol")["source"].unique()
    return "; ".join(f"{protocol} ({', '.join(sorted(names))})" for protocol, names in sources.items())


def stratification_error(split_manifest: pd.DataFrame) -> float:
    """Return the largest difference between a class's share of a split and its share of all photos used, 0-1.

    0 is perfect; NaN where no photo is used. Excluded photos do not count.
    """
    used = split_manifest[split_manifest["split"] != EXCLUDED]
    overall = used["label"].value_counts(normalize=True)
    by_split = pd.crosstab(used["split"], used["label"], normalize="index")
    return float((by_split - overall).abs().max().max())


def _protocol(photos: pd.DataFrame) -> str:
    """Name the protocol that the sides of a source's photos follow.

    It is read from the sides themselves: the settings might say `official` where the source has no official sides.
    """
    used = photos[photos["split"] != EXCLUDED]
    official = used["official_split"]
    if len(used) and official.isin(SPLITS).all():
        return "official partition" if (official == used["split"]).all() else "own split"
    tested = official[used["split"] == TEST].unique()
    in_test = official.isin(tested) & official.notna()
    if len(tested) == 1 and in_test.equals(used["split"] == TEST):
        return f"{tested[0]} tested"
    return "own split"


def _check_disjoint(photos: pd.DataFrame, column: str) -> None:
    used = photos[photos["split"] != EXCLUDED]
    n_splits = used.groupby(column)["split"].nunique()
    torn = n_splits.index[n_splits > 1]
    if len(torn):
        raise SplittingError(f"{len(torn)} {column}s are in two splits", expected="0", received=examples(torn))


def _reasons(photos: pd.DataFrame) -> pd.Series:
    """Return why each photo (N,) is excluded: its group's photos stand elsewhere; empty where it is not excluded."""
    excluded = photos["split"] == EXCLUDED
    kept = photos[~excluded].drop_duplicates("group").set_index("group")["split"]
    reasons = "same subject or near-duplicate in " + photos["group"].map(kept).astype("str")
    return reasons.where(photos["group"].isin(kept.index), "excluded before, or its official side came too late").where(
        excluded, ""
    )
