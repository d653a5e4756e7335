import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from gender_pipeline.errors import SplittingError
from gender_pipeline.splitting import SplittingSettings, duplicates, group_subjects
from photo_tables import flipped, make_alike, photo_table, two_classes

SETTINGS = SplittingSettings()


def random_hashes(n: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, 32), dtype=np.uint8)


def found_pairs(hashes: NDArray[np.uint8], max_bits: int) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for pairs in duplicates.near_pairs(hashes, max_bits) for a, b in pairs}


def true_pairs(hashes: NDArray[np.uint8], max_bits: int) -> set[tuple[int, int]]:
    differ = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(axis=2)
    return {(int(a), int(b)) for a, b in np.argwhere(differ <= max_bits) if a < b}


@pytest.mark.parametrize("max_bits", [0, 1, 14, 15, 16, 31, 32, 40])
def test_the_banded_search_finds_exactly_the_pairs_that_brute_force_finds(max_bits: int) -> None:
    random = random_hashes(60)
    near = [flipped(row.tobytes(), bits, seed=bits) for row in random for bits in (1, 14, 15, 16, 17, 31, 32, 33, 40)]
    hashes = np.concatenate([random, np.frombuffer(b"".join(near), dtype=np.uint8).reshape(-1, 32)])
    assert found_pairs(hashes, max_bits) == true_pairs(hashes, max_bits)


def test_bits_that_are_the_same_in_all_photos_do_not_hide_pairs() -> None:
    hashes = random_hashes(300) & np.uint8(0b10001)
    assert found_pairs(hashes, 16) == true_pairs(hashes, 16) != set()


def test_pairs_that_fill_more_than_one_chunk_are_all_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_CHUNK", 7)
    hashes = random_hashes(50) & np.uint8(0b1)
    assert found_pairs(hashes, 8) == true_pairs(hashes, 8) != set()


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_hashes_make_no_pair(n: int) -> None:
    assert found_pairs(random_hashes(n), 32) == set()


@pytest.mark.parametrize("limit", ["_MAX_CANDIDATES", "_MAX_PAIRS"])
def test_hashes_too_alike_to_compare_in_reasonable_time_are_an_error(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(duplicates, limit, 1_000)
    hashes = random_hashes(100) & np.uint8(0b1)
    with pytest.raises(SplittingError, match=r"too many pairs among 100 photos look alike.*lower near_duplicate_bits"):
        found_pairs(hashes, 32)


def test_components_are_the_same_however_the_edges_are_batched(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = [np.array([[5, 4]]), np.array([[4, 1], [2, 3]]), np.array([[3, 0]])]
    whole = duplicates.join(7, edges)
    monkeypatch.setattr(duplicates, "_BATCH", 0)
    assert duplicates.join(7, edges).tolist() == whole.tolist() == [0, 1, 0, 0, 1, 1, 6]


def test_photos_of_one_subject_are_one_group_named_by_source_and_subject() -> None:
    groups = group_subjects(photo_table(("a", "x", "male", 2), ("a", "y", "female", 1)), SETTINGS)
    assert groups.tolist() == ["a/x", "a/x", "a/y"]


def test_the_same_subject_id_in_two_sources_is_two_subjects() -> None:
    assert group_subjects(photo_table(("a", "x", "male", 1), ("b", "x", "male", 1)), SETTINGS).nunique() == 2


@pytest.mark.parametrize(("n_bits", "n_groups"), [(0, 1), (32, 1), (33, 2)])
def test_a_near_duplicate_in_another_source_joins_all_photos_of_both_subjects(n_bits: int, n_groups: int) -> None:
    manifest = make_alike(photo_table(("b", "x", "male", 3), ("a", "y", "male", 3)), 1, 5, n_bits)
    groups = group_subjects(manifest, SETTINGS)
    assert groups.nunique() == n_groups
    assert groups.min() == "a/y"


def test_near_duplicates_join_groups_in_a_chain() -> None:
    manifest = two_classes(6, n_photos=2)
    alike = make_alike(make_alike(manifest, 2, 1), 4, 3)
    assert group_subjects(alike, SETTINGS).tolist() == ["a/s0000"] * 6 + manifest["subject_id"].radd("a/").tolist()[6:]


def test_equal_bytes_join_even_where_the_hash_tells_nothing() -> None:
    manifest = two_classes(4).assign(phash=bytes(32))
    assert group_subjects(manifest.assign(image_id=["p", "q", "q", "r"]), SETTINGS).nunique() == 3


def test_flat_pictures_are_not_near_duplicates_of_each_other() -> None:
    manifest = two_classes(50)
    assert group_subjects(manifest.assign(phash=bytes([255] + [0] * 31)), SETTINGS).nunique() == 50


def test_photos_that_could_not_be_read_join_nothing() -> None:
    manifest = two_classes(4)
    manifest = manifest.assign(phash=[None, None, *manifest["phash"][2:]], image_id=["empty", "empty", "c", "d"])
    assert group_subjects(manifest, SETTINGS).nunique() == 4


def test_a_thousand_equal_hashes_of_one_subject_are_one_group() -> None:
    manifest = photo_table(("a", "x", "male", 1000), ("a", "y", "female", 1))
    same = manifest.assign(phash=[manifest["phash"][0]] * 1000 + [manifest["phash"][1000]])
    assert group_subjects(same, SETTINGS).nunique() == 2


def test_near_duplicates_that_chain_most_subjects_are_an_error_with_a_remedy() -> None:
    manifest = two_classes(100)
    hashes = [flipped(manifest["phash"][0], 4, seed) if seed < 30 else manifest["phash"][seed] for seed in range(100)]
    with pytest.raises(
        SplittingError, match=r"30 of 100 photos \(30 subjects\).*at most 5%.*lower near_duplicate_bits \(now 32\)"
    ):
        group_subjects(manifest.assign(phash=hashes), SETTINGS)


def test_one_subject_with_most_photos_is_no_error() -> None:
    assert group_subjects(photo_table(("a", "x", "male", 90), ("a", "y", "female", 10)), SETTINGS).nunique() == 2


def test_a_hash_of_another_length_is_an_error() -> None:
    manifest = two_classes(3)
    with pytest.raises(SplittingError, match="expected 32 bytes; received 8 bytes"):
        group_subjects(manifest.assign(phash=[b"12345678", *manifest["phash"][1:]]), SETTINGS)


def test_group_subjects_keeps_the_index_and_does_not_touch_the_manifest() -> None:
    manifest = two_classes(5).set_index(pd.Index([7, 3, 9, 1, 5]))
    before = manifest.copy(deep=True)
    assert group_subjects(manifest, SETTINGS).index.tolist() == [7, 3, 9, 1, 5]
    pd.testing.assert_frame_equal(manifest, before)


def test_an_empty_manifest_has_no_groups() -> None:
    assert group_subjects(photo_table(), SETTINGS).empty
