"""The sides that data sets publish: CelebA's partition, Adience's folds."""

from typing import Final

import pandas as pd

from gender_pipeline.errors import SplittingError, examples
from gender_pipeline.schema import SPLITS, TEST
from gender_pipeline.splitting.settings import SplittingSettings

_FOLD: Final = "fold_"


def official_folds(manifest: pd.DataFrame) -> dict[str, set[int]]:
    """Return the numbers of the folds of each data set that publishes some: source -> {0, 1, ...}.

    Args:
        manifest: N photos with the columns `source, official_split`.
    """
    numbers = manifest["official_split"].str.extract(rf"^{_FOLD}(\d+)$", expand=False)
    known = numbers.notna()
    by_source = numbers[known].astype("int64").groupby(manifest.loc[known, "source"], observed=True)
    return {str(source): set(folds) for source, folds in by_source}


def official_pins(manifest: pd.DataFrame, settings: SplittingSettings) -> tuple[pd.Series, pd.Series]:
    """Return the official side of each photo, and which photos may be on any side but the test.

    Args:
        manifest: N photos with the columns `source, official_split`.
        settings: Uses `protocol`, `test_fold` and `fallback`.

    Returns:
        Sides (N,) of `SPLITS`, None where the own rule decides, and bool (N,), True for folds that are not tested.

    Raises:
        SplittingError: When a data set publishes sides of which some are absent, and `fallback` is not `own`.
    """
    pins = pd.Series(None, index=manifest.index, dtype=object)
    untested = pd.Series(False, index=manifest.index)
    if settings.protocol == "own":
        return pins, untested
    for source, official in manifest["official_split"].groupby(manifest["source"], observed=True):
        parts = set(official.dropna())
        if not parts or not _complete(str(source), parts, settings):
            continue
        here = manifest["source"] == source
        in_fold = here & manifest["official_split"].str.startswith(_FOLD, na=False)
        tested = manifest["official_split"] == f"{_FOLD}{settings.test_fold}"
        pins = pins.mask(here, manifest["official_split"].where(~in_fold, None)).mask(in_fold & tested, TEST)
        untested |= in_fold & ~tested
    return pins.where(pins.notna(), None), untested


def _complete(source: str, parts: set[str], settings: SplittingSettings) -> bool:
    """Return whether a data set has all the parts its protocol needs, or raise where it must have them."""
    folds = all(part.startswith(_FOLD) for part in parts)
    needed = {f"{_FOLD}{settings.test_fold}"} if folds else set(SPLITS)
    if needed <= parts and (folds or parts == needed) and len(parts) > 1:
        return True
    if settings.fallback == "own":
        return False
    raise SplittingError(
        f"the official protocol of {source} cannot be followed",
        expected=f"photos in {examples(sorted(needed))}" + (" and another fold" if folds else " only"),
        received=f"photos in {examples(sorted(parts))}",
        remedy="set splitting.fallback: own, splitting.protocol: own, or add the parts",
    )
