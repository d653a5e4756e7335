import hashlib
import io
from itertools import chain, pairwise
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gender_pipeline.images.checks import perceptual_hash
from gender_pipeline.sources import SourceSettings, read_photos
from gender_pipeline.splitting import (
    SplittingSettings,
    audit_split,
    group_subjects,
    split_photos,
    stratification_error,
)
from photo_tables import flipped, photo_table

OWN = SplittingSettings(max_group_share=1.0)
OFFICIAL = SplittingSettings(max_group_share=1.0, protocol="official", fallback="own")
FEW = settings(deadline=None, max_examples=25)
PROTOCOLS = st.sampled_from([OWN, OFFICIAL])
PARTS = [None, "train", "validation", "test", "fold_0", "fold_1"]

# Three subjects of each class that resemble nobody, so that every drawn manifest can be split.
BASE = photo_table(*(("base", f"{label}{number}", label, 2) for label in ("female", "male") for number in range(3)))
SUBJECTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 25).map("s{}".format),
        st.sampled_from(["female", "male"]),
        st.integers(1, 6),
    ),
    max_size=25,
    unique_by=lambda subject: subject[:2],
)


@st.composite
def manifests(draw: st.DrawFn) -> pd.DataFrame:
    """Draw subjects of three sources, some of whose photos resemble others or have an official side."""
    drawn = photo_table(*draw(SUBJECTS))
    hashes = drawn["phash"].tolist()
    for row, other in draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=6)):
        if max(row, other) < len(hashes):
            hashes[row] = flipped(hashes[other], 6)
    parts = draw(st.lists(st.sampled_from(PARTS), min_size=len(drawn), max_size=len(drawn)))
    drawn = drawn.assign(phash=pd.Series(hashes, dtype=object), official_split=pd.Series(parts, dtype=object))
    return pd.concat([BASE, drawn], ignore_index=True)


def split(manifest: pd.DataFrame, chosen: SplittingSettings, previous: pd.DataFrame | None = None) -> pd.DataFrame:
    return split_photos(manifest, group_subjects(manifest, chosen), previous, chosen)


@FEW
@given(manifests(), PROTOCOLS)
def test_no_subject_no_group_and_no_near_duplicate_is_in_two_splits(
    manifest: pd.DataFrame, chosen: SplittingSettings
) -> None:
    table = split(manifest, chosen)
    audit_split(table)
    used = table[table["split"] != "excluded"]
    hashes = np.frombuffer(b"".join(used["phash"]), dtype=np.uint8).reshape(-1, 32)
    alike = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(axis=2) <= chosen.near_duplicate_bits
    sides = used["split"].to_numpy()
    assert (sides[:, None] == sides[None])[alike].all()


@FEW
@given(manifests(), PROTOCOLS, st.randoms(use_true_random=False))
def test_growth_moves_no_subject_to_another_side(
    manifest: pd.DataFrame, chosen: SplittingSettings, random: Random
) -> None:
    tables, kept = [None], len(BASE)
    for size in [*sorted(random.randint(kept, len(manifest)) for _ in range(2)), len(manifest)]:
        tables.append(split(manifest.head(size), chosen, tables[-1]))
    for earlier, later in pairwise(tables[1:]):
        now = later.loc[earlier.index, "split"]
        # The conflict of a new near-duplicate may exclude a photo; nothing else may happen to it.
        assert ((now == earlier["split"]) | (now == "excluded")).all()
        audit_split(later)


@FEW
@given(manifests(), PROTOCOLS)
def test_splitting_the_same_photos_again_changes_nothing(manifest: pd.DataFrame, chosen: SplittingSettings) -> None:
    table = split(manifest, chosen)
    pd.testing.assert_frame_equal(split(manifest, chosen, table), table)


@FEW
@given(manifests(), PROTOCOLS, st.integers(0, 5))
def test_the_order_of_rows_does_not_matter(manifest: pd.DataFrame, chosen: SplittingSettings, seed: int) -> None:
    shuffled = manifest.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(split(shuffled, chosen).sort_index(), split(manifest, chosen))


@FEW
@given(manifests(), PROTOCOLS)
def test_renaming_the_classes_does_not_change_the_split(manifest: pd.DataFrame, chosen: SplittingSettings) -> None:
    renamed = manifest.assign(label=manifest["label"].map({"female": "z", "male": "b"}))
    assert split(renamed, chosen)["split"].equals(split(manifest, chosen)["split"])


@FEW
@given(manifests())
def test_without_pins_nothing_is_excluded(manifest: pd.DataFrame) -> None:
    assert "excluded" not in set(split(manifest, OWN)["split"])


@FEW
@given(manifests(), PROTOCOLS)
def test_photos_are_excluded_only_from_groups_with_pins_of_several_sides(
    manifest: pd.DataFrame, chosen: SplittingSettings
) -> None:
    table = split(manifest, chosen)
    for _, group in table.groupby("group"):
        if "excluded" in set(group["split"]):
            assert group["official_split"].nunique() > 1 or group["official_split"].isna().any()
            assert "test" in set(group["split"]) or group["official_split"].nunique() > 1


@settings(deadline=None, max_examples=30)
@given(st.integers(60, 400), st.integers(1, 5), st.integers(0, 9))
def test_shares_are_met_to_one_subject_where_subjects_are_many(n_subjects: int, n_photos: int, seed: int) -> None:
    manifest = photo_table(*(("a", f"s{i}", "male" if i % 3 else "female", n_photos) for i in range(n_subjects)))
    table = split(manifest, SplittingSettings(seed=seed))
    for _, photos in table.groupby("label"):
        counts = photos["split"].value_counts()
        for side, share in OWN.shares:
            assert abs(counts[side] - share * len(photos)) <= n_photos + 1e-9
    assert stratification_error(table) < 0.07


@pytest.mark.real_data
def test_real_photos_split_without_leak_and_their_copies_are_found(real_data: Path) -> None:
    """14,000 photos: no two photos on two sides within 32 bits; every re-encoded copy joins its original."""
    sources = {name: SourceSettings(reader=name, folder=name) for name in ("muct", "celeba", "age_gender")}
    photos = chain.from_iterable(
        ((name, photo) for photo in read_photos(real_data, source) if photo.data) for name, source in sources.items()
    )
    rows, copies = [], []
    for source, photo in photos:
        image = Image.open(io.BytesIO(photo.data)).convert("RGB")
        rows.append(
            {
                **{"source": source, "name": photo.name, "subject_id": photo.subject_id, "label": photo.label},
                **{"official_split": None, "image_id": hashlib.sha256(photo.data).hexdigest()},
                "phash": perceptual_hash(image.convert("L")),
            }
        )
        if len(rows) % 10 == 0:
            encoded = io.BytesIO()
            image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(encoded, "JPEG", quality=60)
            copy = perceptual_hash(Image.open(encoded).convert("L"))
            copies.append({**rows[-1], "source": "copies", "subject_id": photo.name, "image_id": None, "phash": copy})
    manifest = pd.DataFrame(rows)
    chosen = SplittingSettings()
    labelled = manifest[manifest["label"].notna()]
    table = split(labelled, chosen)
    audit_split(table)
    assert stratification_error(table) < 0.01
    together = pd.concat([manifest, pd.DataFrame(copies)], ignore_index=True)
    groups = group_subjects(together.assign(image_id=together.index.astype(str)), chosen)
    origin = together["name"].map(pd.Series(groups[: len(manifest)].to_numpy(), index=manifest["name"]))
    assert (groups[len(manifest) :] == origin[len(manifest) :]).mean() >= 0.99
