import math

import pandas as pd
import pytest

from gender_pipeline.errors import SplittingError
from gender_pipeline.splitting import (
    SplittingSettings,
    audit_split,
    group_subjects,
    split_photos,
    stratification_error,
)
from photo_tables import make_alike, photo_table, two_classes

SETTINGS = SplittingSettings()


def split_table(sides: list[str], n_photos: int = 1) -> pd.DataFrame:
    manifest = two_classes(len(sides), n_photos=n_photos)
    repeated = [side for side in sides for _ in range(n_photos)]
    return manifest.assign(group=group_subjects(manifest, SETTINGS), split=repeated, split_settings=SETTINGS.digest())


def test_the_table_counts_photos_subjects_groups_and_shares_of_each_stratum() -> None:
    table = audit_split(split_table(["train", "train", "train", "test", "test", "test"], n_photos=2))
    counts = ["photos", "subjects", "groups", "share"]
    assert table.columns.tolist() == ["source", "label", "split", *counts, "reason", "protocol"]
    female_train = table[(table["label"] == "female") & (table["split"] == "train")].iloc[0]
    assert female_train[["photos", "subjects", "groups"]].tolist() == [4, 2, 2]
    assert female_train["share"] == pytest.approx(2 / 3)
    assert table.groupby(["source", "label"])["share"].sum().tolist() == pytest.approx([1, 1])


def test_a_subject_in_two_splits_is_an_error_that_names_it() -> None:
    table = split_table(["train", "test"], n_photos=2).assign(split=["train", "test", "test", "test"])
    with pytest.raises(SplittingError, match="1 subjects are in two splits; expected 0; received a/s0000"):
        audit_split(table)


def test_a_group_in_two_splits_is_an_error() -> None:
    table = split_table(["train", "test"]).assign(group="a/s0000")
    with pytest.raises(SplittingError, match="1 groups are in two splits; expected 0; received a/s0000"):
        audit_split(table)


def test_excluded_photos_say_where_the_photos_are_that_they_conflict_with() -> None:
    manifest = make_alike(two_classes(30), 0, 22)
    previous = manifest.assign(
        split=["train"] * 20 + ["test"] * 5 + ["validation"] * 5, split_settings=SETTINGS.digest()
    )
    table = audit_split(split_photos(manifest, group_subjects(manifest, SETTINGS), previous, SETTINGS))
    excluded = table[table["split"] == "excluded"]
    assert excluded["reason"].tolist() == ["same subject or near-duplicate in test"]
    assert set(table[table["split"] != "excluded"]["reason"]) == {""}


def test_photos_excluded_earlier_say_so() -> None:
    table = audit_split(split_table(["excluded", "train", "test"]))
    assert "excluded before, or its official side came too late" in table["reason"].tolist()


def test_stratification_error_is_zero_where_every_split_has_the_same_shares_of_classes() -> None:
    assert stratification_error(split_table(["train", "train", "test", "test"])) == 0


def test_stratification_error_is_the_largest_difference_of_a_class_share() -> None:
    table = split_table(["train", "train", "train", "train", "test", "validation"])
    assert stratification_error(table) == pytest.approx(0.5)


def test_excluded_photos_do_not_count_in_the_stratification_error() -> None:
    assert stratification_error(split_table(["train", "train", "test", "test", "excluded"])) == 0


def test_stratification_error_of_no_photos_is_not_a_number() -> None:
    assert math.isnan(stratification_error(photo_table().assign(split=pd.Series(dtype=str))))
