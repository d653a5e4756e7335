"""The review of labels: what is suspected, what the page shows, and what comes of an accepted suggestion."""

import io
import json
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gender_pipeline.errors import EvaluationError
from gender_pipeline.evaluation.label_review import (
    SUSPECT_COLUMNS,
    LabelReviewSettings,
    _out_of_fold,
    find_suspects,
    predict_out_of_fold,
    write_review_page,
)
from gender_pipeline.images.shards import ShardSettings, ShardStore, SourcePhotos, update_shards
from gender_pipeline.recipes import Recipe
from gender_pipeline.sources import SourceSettings, read_photos
from gender_pipeline.sources.corrections import accept_corrections, apply_corrections, read_corrections
from gender_pipeline.sources.sample import SampleSettings, draw_sample
from gender_pipeline.training import FeatureCache

CLASSES = ("female", "male")
SETTINGS = LabelReviewSettings()
RECIPE = Recipe(
    name="review", backbone="efficientnet_lite0", image_size_px=64, optimizer={"learning_rate": 0.1}, epochs=1,
    batch_size=1, patience=1, seed=0,
)  # fmt: skip


def predictions(p_male: Sequence[float], labels: Sequence[str], groups: Sequence[str] | None = None) -> pd.DataFrame:
    """Return an out-of-fold table of photos named by their number, each of its own subject unless told otherwise."""
    numbers = range(len(labels))
    return pd.DataFrame(
        {
            "image_id": [sha256(str(number).encode()).hexdigest() for number in numbers],
            "source": "s",
            "name": [f"{number}.jpg" for number in numbers],
            "subject_id": list(groups or map(str, numbers)),
            "group": list(groups or map(str, numbers)),
            "label": labels,
            "publishable": True,
            "p_female": 1 - np.array(p_male),
            "p_male": p_male,
        }
    )


def two_wrong(groups: Sequence[str] | None = None) -> pd.DataFrame:
    """40 photos the model is sure of, of which photos 3 and 8 are labelled otherwise."""
    p_male = np.where(np.arange(40) % 2, 0.95, 0.05)
    p_male[[3, 8]] = [0.99, 0.04]
    labels = np.where(p_male > 0.5, "male", "female")
    labels[[3, 8]] = ["female", "male"]
    return predictions(p_male, labels, groups)


class Photos:
    """Small pictures by id, which remember who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def images(self, image_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        self.asked += image_ids
        for image_id in image_ids:
            file = io.BytesIO()
            Image.new("RGBA", (300, 100), (200, 10, 10, 255)).save(file, "PNG")
            yield image_id, file.getvalue()


def test_the_most_doubtful_label_comes_first_with_the_other_class_as_the_suggestion() -> None:
    suspects = find_suspects(two_wrong(), CLASSES)
    assert list(suspects.columns) == list(SUSPECT_COLUMNS)
    assert suspects["name"].tolist() == ["3.jpg", "8.jpg"]
    assert suspects["suggested_label"].tolist() == ["male", "female"]
    assert suspects["p_label"].tolist() == [0.01, 0.04]
    assert suspects["p_suggested"].tolist() == [0.99, 0.96]
    assert suspects["accept"].tolist() == ["", ""]
    assert suspects["quality"].between(0, 1).all()


def test_the_subjects_other_photos_are_counted_with_those_that_disagree() -> None:
    groups = [f"g{number // 4}" for number in range(40)]  # photos 0-3 and 8-11 are of one subject each
    suspects = find_suspects(two_wrong(groups), CLASSES).set_index("name")
    assert suspects.loc["3.jpg", ["others_of_subject", "others_disagree"]].tolist() == [3, 1]
    assert suspects.loc["8.jpg", ["others_of_subject", "others_disagree"]].tolist() == [3, 1]


def test_without_a_doubt_nothing_is_suspected() -> None:
    assert find_suspects(predictions([0.0, 1.0] * 20, ["female", "male"] * 20), CLASSES).empty


def test_renaming_the_classes_changes_no_suspect() -> None:
    renamed = two_wrong().replace({"label": {"female": "z", "male": "a"}})
    renamed = renamed.rename(columns={"p_female": "p_z", "p_male": "p_a"})
    expected = find_suspects(two_wrong(), CLASSES)
    found = find_suspects(renamed, ("a", "z"))
    assert found["image_id"].tolist() == expected["image_id"].tolist()
    assert found["suggested_label"].tolist() == ["a", "z"]


@pytest.mark.parametrize(
    ("labels", "received"), [(["female"] * 4, "photos of female"), (["female", "male", "x", "male"], "female, male, x")]
)
def test_a_missing_class_and_an_unknown_label_are_errors(labels: list[str], received: str) -> None:
    with pytest.raises(EvaluationError, match=rf"expected photos of each of female, male, .*received .*{received}"):
        find_suspects(predictions([0.5] * 4, labels), CLASSES)


def test_a_photo_is_predicted_by_a_model_that_saw_no_photo_of_its_group() -> None:
    # Each group of four has a direction of its own, which tells its label, and nothing else does.
    groups = pd.Series(np.arange(80) // 4)
    labels = (np.arange(80) // 4 % 2).astype(np.int64)
    features = np.eye(20, dtype=np.float32)[groups] * 10
    found = _out_of_fold(features, labels, groups, LabelReviewSettings(regularization=1.0))
    assert found.shape == (80, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == labels).mean() < 0.6
    own = _out_of_fold(features, labels, pd.Series(np.arange(80)), LabelReviewSettings(regularization=1.0))
    assert (own.argmax(axis=1) == labels).mean() == 1


def test_too_few_subjects_are_an_error() -> None:
    labels, groups = np.array([0] * 10 + [1] * 10), pd.Series([*range(10), *[99] * 10])
    with pytest.raises(
        EvaluationError, match=r"too few subjects .*expected at least 5 of each class.*received 1; lower"
    ):
        _out_of_fold(np.zeros((20, 3), np.float32), labels, groups, SETTINGS)


def test_the_page_needs_nothing_from_outside_and_runs_its_own_script_only() -> None:
    page = write_review_page(find_suspects(two_wrong(), CLASSES), Photos(), SETTINGS)
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)
    assert script
    digest = re.search("script-src 'sha256-([^']+)'", page)
    assert digest
    assert b64decode(digest.group(1)) == sha256(script.group(1).encode()).digest()
    assert page.count("<article") == 2
    assert page.count('type="checkbox"') == 4


def test_a_name_from_an_archive_cannot_leave_its_place_on_the_page() -> None:
    suspects = find_suspects(two_wrong(), CLASSES).assign(name='"><script>alert(1)</script>', source="<b>")
    page = write_review_page(suspects, Photos(), SETTINGS)
    assert "<script>alert" not in page
    assert "<b>:" not in page


def test_pictures_are_small_jpegs_in_the_page() -> None:
    page = write_review_page(find_suspects(two_wrong(), CLASSES), Photos(), LabelReviewSettings(thumbnail_px=60))
    uris = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert [Image.open(io.BytesIO(b64decode(uri))).size for uri in uris] == [(60, 20)] * 2


def test_photos_that_must_not_be_published_are_tiles_and_their_bytes_are_not_even_asked_for() -> None:
    suspects = find_suspects(two_wrong().assign(publishable=np.arange(40) == 3), CLASSES)
    photos = Photos()
    page = write_review_page(suspects, photos, SETTINGS)
    assert photos.asked == suspects["image_id"][suspects["name"] == "3.jpg"].tolist()
    assert page.count("not to be shown") == 1
    assert write_review_page(suspects, photos, LabelReviewSettings(show_unpublishable=True)).count("<img") == 2


def test_the_page_holds_at_most_the_photos_it_is_told_to() -> None:
    page = write_review_page(find_suspects(two_wrong(), CLASSES), Photos(), LabelReviewSettings(max_shown=1))
    assert page.count("<article") == 1
    assert "1 of 2 suspected photos" in page


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> ShardStore:
    """Shards of about 590 drawn faces of 160 persons, whose labels are right."""
    root = tmp_path_factory.mktemp("drawn")
    draw_sample(SampleSettings(n_subjects=160, label_noise=0.0), root / "sample")
    source = SourceSettings(reader="sample", folder="sample")
    photos = SourcePhotos("drawn", lambda: read_photos(root, source))
    return update_shards(root / "shards", {"sample": photos}, ShardSettings())


@pytest.fixture(scope="module")
def review(drawn: ShardStore, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The manifest with 8 % of the labels flipped, the ids of those, and the suspects."""
    manifest = drawn.manifest()
    manifest = manifest[manifest["label"].notna() & manifest["problem"].isna()].drop_duplicates("image_id")
    flipped = np.random.default_rng(0).random(len(manifest)) < 0.08
    other = manifest["label"].map({"female": "male", "male": "female"})
    noisy = manifest.assign(label=manifest["label"].where(~flipped, other), split="train", group=manifest["subject_id"])
    cache = FeatureCache(tmp_path_factory.mktemp("cache"))
    found = predict_out_of_fold(noisy, RECIPE, CLASSES, images=drawn, cache=cache, settings=SETTINGS)
    return noisy, set(manifest["image_id"][flipped]), find_suspects(found, CLASSES)


def test_most_flipped_labels_of_drawn_faces_are_found_with_useful_precision(review: Any) -> None:
    noisy, flipped, suspects = review
    hits = len(flipped & set(suspects["image_id"]))
    # Measured: 73-75 % found, 34-37 % of the suspects (two of three seeds); 8 % would be found by chance. The drawn
    # classes overlap: the model itself is right on 83 %.
    assert hits / len(flipped) >= 0.6
    assert hits / len(suspects) >= 0.25
    assert len(suspects) < 0.2 * len(noisy)


def test_the_most_suspicious_tenth_is_wrong_more_often_than_the_rest(review: Any) -> None:
    _, flipped, suspects = review
    wrong = suspects["image_id"].isin(flipped)
    assert wrong.head(len(wrong) // 3).mean() > wrong.tail(len(wrong) // 3).mean()


def test_after_accepting_the_next_manifest_has_the_corrected_labels(review: Any, tmp_path: Path) -> None:
    noisy, flipped, suspects = review
    # A reviewer who knows the truth ticks the right ones.
    answers = suspects.assign(accept=suspects["image_id"].isin(flipped).map({True: "x", False: ""}))
    answers.to_csv(tmp_path / "suspected_labels.csv", index=False)
    n_accepted = accept_corrections(tmp_path / "suspected_labels.csv", tmp_path / "corrections.csv", "test")
    assert n_accepted == len(flipped & set(suspects["image_id"])) > 20
    corrected = apply_corrections(noisy, read_corrections(tmp_path / "corrections.csv"), CLASSES)
    changed = corrected[corrected["label"] != noisy["label"]]
    assert set(changed["image_id"]) == flipped & set(suspects["image_id"])
    originals = changed["attributes"].map(lambda text: json.loads(text)["original_label"])
    assert (originals == noisy.loc[changed.index, "label"]).all()


@pytest.mark.real_data
@pytest.mark.parametrize("size_px", [96, 160])
def test_most_flipped_labels_of_real_photos_are_found(real_data: Path, tmp_path: Path, size_px: int) -> None:
    source = SourceSettings(reader="celeba", folder="celeba")
    photos = SourcePhotos("celeba", lambda: islice(read_photos(real_data, source), 2000))
    shards = update_shards(tmp_path / "shards", {"celeba": photos}, ShardSettings())
    manifest = shards.manifest().drop_duplicates("image_id").assign(split="train")
    manifest = manifest.assign(group=manifest["subject_id"])
    recipe = RECIPE.model_copy(update={"image_size_px": size_px})
    n_flipped = n_suspects = n_hits = 0
    for seed in range(3):
        flipped = np.random.default_rng(seed).random(len(manifest)) < 0.03
        other = manifest["label"].map({"female": "male", "male": "female"})
        noisy = manifest.assign(label=manifest["label"].where(~flipped, other))
        cache = FeatureCache(tmp_path / "cache")
        found = predict_out_of_fold(noisy, recipe, CLASSES, images=shards, cache=cache, settings=SETTINGS)
        suspects = find_suspects(found, CLASSES)
        n_flipped, n_suspects = n_flipped + int(flipped.sum()), n_suspects + len(suspects)
        n_hits += int(suspects["image_id"].isin(set(manifest["image_id"][flipped])).sum())
    print(f"{size_px} px: {n_hits} of {n_flipped} flipped labels among {n_suspects} suspects in three draws")
    assert n_hits / n_flipped >= 0.7
    assert n_hits / n_suspects >= 0.3
