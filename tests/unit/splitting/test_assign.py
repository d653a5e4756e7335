import pandas as pd
import pytest
from pydantic import ValidationError

from gender_pipeline.errors import SplittingError
from gender_pipeline.splitting import Shares, SplittingSettings, group_subjects, split_photos, stratification_error
from photo_tables import make_alike, photo_table, two_classes

OWN = SplittingSettings()


def split(
    manifest: pd.DataFrame, previous: pd.DataFrame | None = None, settings: SplittingSettings = OWN
) -> pd.DataFrame:
    return split_photos(manifest, group_subjects(manifest, settings), previous, settings)


def sides(table: pd.DataFrame) -> dict[str, set[str]]:
    return table.groupby("subject_id")["split"].agg(set).to_dict()


def pinned(manifest: pd.DataFrame, sides: list[str], settings: SplittingSettings = OWN) -> pd.DataFrame:
    """Return an earlier split of the manifest's first rows."""
    return manifest.head(len(sides)).assign(split=sides, split_settings=settings.digest())


def test_shares_hold_within_each_source_and_class() -> None:
    manifest = pd.concat([two_classes(400, source="a"), two_classes(200, source="b", n_photos=3)], ignore_index=True)
    table = split(manifest)
    shares = table.groupby(["source", "label"])["split"].value_counts(normalize=True).unstack()
    assert (shares - pd.Series({"train": 0.7, "validation": 0.15, "test": 0.15})).abs().max().max() < 0.01
    assert stratification_error(table) < 0.01


def test_configured_shares_are_used() -> None:
    settings = SplittingSettings(shares=Shares(train=0.5, validation=0.25, test=0.25))
    assert split(two_classes(80), settings=settings)["split"].value_counts().to_dict() == {
        "train": 40,
        "validation": 20,
        "test": 20,
    }


def test_another_seed_draws_another_split() -> None:
    manifest = two_classes(60)
    assert not split(manifest)["split"].equals(split(manifest, settings=SplittingSettings(seed=1))["split"])


def test_rows_index_and_columns_are_kept_and_the_manifest_is_not_touched() -> None:
    manifest = two_classes(30).sample(frac=1, random_state=0)
    before = manifest.copy(deep=True)
    table = split(manifest)
    pd.testing.assert_frame_equal(manifest, before)
    pd.testing.assert_frame_equal(table[manifest.columns], manifest)
    assert table.columns[-3:].tolist() == ["group", "split", "split_settings"]
    assert set(table["split_settings"]) == {OWN.digest()}


@pytest.mark.parametrize("n_groups", [3, 4])
def test_three_subjects_of_each_class_are_enough_for_three_sides(n_groups: int) -> None:
    assert split(two_classes(2 * n_groups)).groupby("label")["split"].nunique().tolist() == [3, 3]


def test_a_giant_subject_does_not_leave_a_side_without_its_class() -> None:
    giants = photo_table(("a", "big", "male", 90), *(("a", f"m{i}", "male", 1) for i in range(4)))
    manifest = pd.concat([giants, two_classes(10, source="b")], ignore_index=True)
    for seed in range(10):
        table = split(manifest, settings=SplittingSettings(seed=seed))
        assert table.groupby("label")["split"].nunique().tolist() == [3, 3]


def test_many_small_sources_together_keep_the_shares_of_each_class() -> None:
    manifest = pd.concat([two_classes(2, source=f"source{i}") for i in range(100)], ignore_index=True)
    table = split(manifest)
    assert table["split"].value_counts().to_dict() == {"train": 140, "validation": 30, "test": 30}
    assert stratification_error(table) == 0


def test_two_subjects_of_a_class_are_too_few() -> None:
    manifest = photo_table(
        ("a", "x", "male", 5), ("a", "y", "male", 5), *(("a", f"f{i}", "female", 1) for i in range(9))
    )
    with pytest.raises(SplittingError, match=r"class male has no photo in \w+; expected at least 3.*received 2 "):
        split(manifest)


def test_subjects_joined_by_near_duplicates_count_as_one() -> None:
    manifest = make_alike(two_classes(6), 0, 2)
    with pytest.raises(SplittingError, match=r"class female .*received 2 \(near-duplicates count as one\)"):
        split(manifest)


@pytest.mark.parametrize("manifest", [photo_table(*(("a", f"m{i}", "male", 1) for i in range(9))), photo_table()])
def test_one_class_or_none_cannot_be_split(manifest: pd.DataFrame) -> None:
    with pytest.raises(
        SplittingError, match=r"of one class only; expected two classes or more; received (male|no photo)"
    ):
        split(manifest)


def test_photos_without_a_label_cannot_be_split() -> None:
    manifest = two_classes(9)
    with pytest.raises(SplittingError, match=r"without a label .*received s0000/0.jpg; quarantine them first"):
        split(manifest.assign(label=[None, *manifest["label"][1:]]))


def test_subjects_of_the_previous_split_keep_their_side() -> None:
    table = split(two_classes(40))
    wider = pd.concat([two_classes(40, n_photos=2), two_classes(40, first=40)], ignore_index=True)
    again = split(wider, table)
    assert {subject: sides(again)[subject] for subject in sides(table)} == sides(table)


def test_new_subjects_fill_what_the_pinned_ones_lack() -> None:
    manifest = two_classes(200)
    grown = split(manifest, pinned(manifest, ["train"] * 100))
    assert grown["split"].value_counts().to_dict() == {"train": 140, "validation": 30, "test": 30}


def test_a_previous_split_of_other_settings_does_not_count() -> None:
    manifest = two_classes(40)
    other = split(manifest, settings=SplittingSettings(seed=1))
    pd.testing.assert_frame_equal(split(manifest, other), split(manifest))


def test_a_new_subject_that_looks_like_a_pinned_one_joins_its_side() -> None:
    manifest = two_classes(30)
    previous = pinned(manifest, ["train"] * 18 + ["validation"] * 4 + ["test"] * 4)
    assert split(make_alike(manifest, 29, 24), previous)["split"][29] == "test"


@pytest.mark.parametrize(
    ("one", "other", "kept"),
    [("train", "test", "test"), ("validation", "test", "test"), ("train", "validation", "validation")],
)
def test_of_near_duplicates_pinned_apart_the_side_nearest_to_the_test_stays(one: str, other: str, kept: str) -> None:
    manifest = two_classes(30, n_photos=2)
    previous = pinned(manifest, (["train"] * 4 + ["validation"] * 4 + ["test"] * 4) * 4)
    start = {"train": 0, "validation": 4, "test": 8}
    table = split(make_alike(manifest, start[one], start[other]), previous)
    assert (table["split"] == "excluded").sum() == 2
    assert table["split"][start[one]] == table["split"][start[one] + 1] == "excluded"
    assert table["split"][start[other]] == kept


def test_a_subject_once_excluded_stays_excluded_even_if_the_conflict_is_gone() -> None:
    manifest = two_classes(30)
    previous = pinned(manifest, ["excluded", "train", "test", "validation"] * 6)
    assert split(manifest, previous)["split"][0] == "excluded"


def test_without_pins_nothing_is_excluded() -> None:
    assert "excluded" not in set(split(make_alike(two_classes(40), 3, 8))["split"])


@pytest.mark.parametrize("shares", [{"train": 0.8}, {"train": 1.0, "validation": 0.0, "test": 0.0}])
def test_shares_that_do_not_sum_to_one_or_are_zero_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=r"must sum to 1|less than 1"):
        Shares(**shares)


def test_equal_counts_of_labels_are_decided_by_the_first_photo_by_name() -> None:
    mixed = photo_table(*(("a", f"s{i}", label, 1) for i in range(40) for label in ("male", "female")))
    renamed = mixed.assign(label=mixed["label"].map({"male": "a", "female": "b"}))
    assert split(mixed.assign(name=mixed.index.map(str)))["split"].equals(
        split(renamed.assign(name=mixed.index.map(str)))["split"]
    )
