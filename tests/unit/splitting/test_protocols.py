import pandas as pd
import pytest

from gender_pipeline.errors import SplittingError
from gender_pipeline.splitting import SplittingSettings, group_subjects, split_photos
from photo_tables import make_alike, photo_table, two_classes

OFFICIAL = SplittingSettings(protocol="official")
PARTITION = ["train"] * 20 + ["validation"] * 4 + ["test"] * 16


def split(manifest: pd.DataFrame, settings: SplittingSettings, previous: pd.DataFrame | None = None) -> pd.DataFrame:
    return split_photos(manifest, group_subjects(manifest, settings), previous, settings)


def with_partition() -> pd.DataFrame:
    return two_classes(40, source="celeba").assign(official_split=PARTITION)


def with_folds(n_photos: int = 1) -> pd.DataFrame:
    manifest = two_classes(100, source="adience", n_photos=n_photos)
    return manifest.assign(official_split=[f"fold_{subject // 20}" for subject in range(100) for _ in range(n_photos)])


def test_the_official_partition_is_kept() -> None:
    assert split(with_partition(), OFFICIAL)["split"].tolist() == PARTITION


def test_the_own_protocol_ignores_the_official_partition() -> None:
    plain = with_partition().assign(official_split=None)
    own = SplittingSettings()
    assert split(with_partition(), own)["split"].equals(split(plain, own)["split"])


def test_sources_without_an_official_partition_are_split_by_the_own_rule() -> None:
    table = split(pd.concat([with_partition(), two_classes(100, source="muct")], ignore_index=True), OFFICIAL)
    counts = table.groupby("source")["split"].value_counts()
    assert counts["celeba"].to_dict() == {"train": 20, "test": 16, "validation": 4}
    assert abs(counts["muct"]["train"] - 70) <= 2


@pytest.mark.parametrize("fold", [0, 3])
def test_the_test_fold_is_the_test_and_validation_is_carved_from_the_other_folds(fold: int) -> None:
    manifest = with_folds()
    table = split(manifest, SplittingSettings(protocol="official", test_fold=fold))
    assert (table["split"].eq("test") == manifest["official_split"].eq(f"fold_{fold}")).all()
    assert table["split"].value_counts()["validation"] in range(10, 20)


def test_validation_carved_from_folds_is_stable_under_growth() -> None:
    small, grown = with_folds(), with_folds(n_photos=3)
    table = split(small, OFFICIAL)
    again = split(pd.concat([grown, two_classes(40, source="muct")], ignore_index=True), OFFICIAL, table)
    earlier = table.set_index("subject_id")["split"]
    adience = again[again["source"] == "adience"]
    assert (adience["split"] == adience["subject_id"].map(earlier)).all()


def test_a_photo_of_another_fold_that_looks_like_a_tested_one_is_excluded_not_tested() -> None:
    table = split(make_alike(with_folds(n_photos=2), 100, 0), OFFICIAL)
    assert table["split"][100] == table["split"][101] == "excluded"
    assert table["split"][0] == "test"


def test_a_subject_in_the_tested_and_in_another_fold_is_tested_only_where_the_fold_says_so() -> None:
    manifest = with_folds(n_photos=2)
    torn = manifest.assign(official_split=["fold_1", *manifest["official_split"][1:]])
    table = split(torn, OFFICIAL)
    assert table["split"][:2].tolist() == ["excluded", "test"]
    assert split(torn, OFFICIAL, table)["split"].equals(table["split"])


def test_near_duplicates_that_the_official_partition_parts_are_excluded_on_the_train_side() -> None:
    table = split(make_alike(with_partition(), 0, 30), OFFICIAL)
    assert table["split"][0] == "excluded"
    assert table["split"][1:].tolist() == PARTITION[1:]


def test_a_partition_that_is_all_train_says_which_parts_are_absent() -> None:
    manifest = with_partition().assign(official_split="train")
    with pytest.raises(
        SplittingError,
        match=r"protocol of celeba cannot be followed; expected photos in test, train, validation only; "
        r"received photos in train; set splitting.fallback: own",
    ):
        split(manifest, OFFICIAL)


def test_a_photo_once_excluded_stays_excluded_when_its_data_set_falls_back_to_the_own_rule() -> None:
    settings = SplittingSettings(protocol="official", fallback="own")
    manifest = two_classes(40, source="celeba", n_photos=2)
    torn = manifest.assign(official_split=["train", "test", *(part for part in PARTITION[1:] for _ in range(2))])
    first = split(torn, settings)
    assert first["split"][:2].tolist() == ["excluded", "test"]
    broken = torn.assign(official_split=["train", "test", "gallery", *torn["official_split"][3:]])
    assert split(broken, settings, first)["split"].equals(first["split"])


def test_an_absent_test_fold_is_an_error() -> None:
    with pytest.raises(
        SplittingError, match=r"adience .*expected photos in fold_7 and another fold; received photos in fo"
    ):
        split(with_folds(), SplittingSettings(protocol="official", test_fold=7))


def test_one_fold_alone_cannot_be_both_trained_on_and_tested() -> None:
    with pytest.raises(SplittingError, match="and another fold; received photos in fold_0"):
        split(with_folds().assign(official_split="fold_0"), OFFICIAL)


def test_unknown_parts_are_an_error() -> None:
    with pytest.raises(SplittingError, match="received photos in gallery, test, train, validation"):
        split(with_partition().assign(official_split=[*PARTITION[1:], "gallery"]), OFFICIAL)


def test_fallback_splits_a_data_set_with_absent_parts_by_the_own_rule() -> None:
    settings = SplittingSettings(protocol="official", fallback="own")
    manifest = pd.concat([with_partition().assign(official_split="train"), with_folds()], ignore_index=True)
    table = split(manifest, settings)
    assert set(table[table["source"] == "celeba"]["split"]) == {"train", "validation", "test"}
    assert (table[table["official_split"] == "fold_0"]["split"] == "test").all()


def test_a_class_that_the_official_test_lacks_is_an_error() -> None:
    manifest = photo_table(*(("celeba", f"s{i}", "male" if i < 20 else "female", 1) for i in range(40)))
    with pytest.raises(SplittingError, match="class female has no photo in train"):
        split(manifest.assign(official_split=PARTITION), OFFICIAL)


@pytest.mark.parametrize("complete", [with_partition(), with_folds()], ids=["partition", "folds"])
def test_official_parts_that_come_after_a_fallback_exclude_photos_but_move_none(complete: pd.DataFrame) -> None:
    settings = SplittingSettings(protocol="official", fallback="own")
    early = complete[complete["official_split"].isin(["train", "fold_1"])].reset_index(drop=True)
    own = pd.concat([early, two_classes(40, source="muct")], ignore_index=True)
    first = split(own, settings)
    late = complete[~complete["name"].isin(early["name"])]
    second = split(pd.concat([own, late], ignore_index=True), settings, first)
    now = second["split"][: len(first)]
    assert set(now[now != first["split"]]) == {"excluded"}
    assert set(second["split"][len(first) :]) >= {"test"}
