"""Nodes that split photos by subject and prove it."""

import pandas as pd

from gender_pipeline.splitting import SplittingSettings, audit_split, group_subjects
from gender_pipeline.splitting import split_photos as split_by_group


def split_photos(
    validated_manifest: pd.DataFrame, previous_split: pd.DataFrame | None, splitting: SplittingSettings
) -> pd.DataFrame:
    """Return the manifest with each photo's group and split; subjects of the previous split keep their side."""
    groups = group_subjects(validated_manifest, splitting)
    return split_by_group(validated_manifest, groups, previous_split, splitting)


def prove_split(split_manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the audit table, or raise where a subject is in two splits."""
    return audit_split(split_manifest)
