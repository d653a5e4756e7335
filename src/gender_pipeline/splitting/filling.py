"""The own rule: groups in the order of a seeded hash, each to the side that lacks most photos."""

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gender_pipeline.schema import SPLITS
from gender_pipeline.splitting.settings import SplittingSettings


def fill_sides(groups: pd.DataFrame, settings: SplittingSettings) -> pd.Series:
    """Give each group without a side the side that lacks most photos in its stratum (source and label).

    A stratum with less than one group for the smallest share cannot keep the shares by itself; its groups go where the
    class as a whole lacks photos. The last groups of a class go to sides that have none of it.

    Args:
        groups: G groups under their ids, with the columns `photos` (count), `source`, `label`, `untested` (bool: never
            to the test) and `side` (index into `SPLITS`, -1 for none yet).
        settings: Uses `seed` and `shares`.

    Returns:
        Sides (G,) int as indices into `SPLITS`, under the group ids.
    """
    shares = np.array(settings.shares.in_order())
    seeded = [hashlib.sha256(f"{settings.seed}:{group}".encode()).digest() for group in groups.index]
    ordered = groups.iloc[sorted(range(len(groups)), key=seeded.__getitem__)]
    classes = [_fill_class(members, shares) for _, members in ordered.groupby("label", observed=True)]
    return pd.concat(classes) if classes else pd.Series(dtype=int)


def _fill_class(groups: pd.DataFrame, shares: NDArray[np.float64]) -> pd.Series:
    photos, side = groups["photos"].to_numpy(), groups["side"].to_numpy(copy=True)
    closed = np.zeros((len(groups), len(SPLITS)), dtype=bool)
    closed[:, -1] = groups["untested"]
    strata = [np.flatnonzero(groups["source"] == source) for source in sorted(groups["source"].unique())]
    # Last comes the whole class: only the groups of small strata still have no side then.
    for scope in [*(rows for rows in strata if len(rows) * shares.min() >= 1), np.arange(len(groups))]:
        given = scope[side[scope] >= 0]
        held = np.bincount(side[given], weights=photos[given], minlength=len(SPLITS))
        lacking = shares * photos[scope].sum() - held
        for group in scope[side[scope] < 0]:
            chosen = _choose(lacking, closed[group], side)
            side[group] = chosen
            lacking[chosen] -= photos[group]
    return pd.Series(side, index=groups.index)


def _choose(lacking: NDArray[np.float64], closed: NDArray[np.bool_], side: NDArray[np.int64]) -> int:
    """Return the open side that lacks most photos; the last groups of a class go to sides that have none of it."""
    empty = np.bincount(side + 1, minlength=len(SPLITS) + 1)[1:] == 0
    if (side < 0).sum() <= empty.sum() and (empty & ~closed).any():
        closed = closed | ~empty
    return int(np.argmax(np.where(closed, -np.inf, lacking)))
