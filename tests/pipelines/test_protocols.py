"""The protocols on drawn archives, from the readers to the sentence in the report."""

from pathlib import Path

import pandas as pd
import pytest

from gender_pipeline.images.shards import ShardSettings
from gender_pipeline.pipelines.manifest.nodes import draw_sample, ingest_photos
from gender_pipeline.pipelines.splitting.nodes import prove_split, split_photos
from gender_pipeline.sources import SourceSettings, SourcesSettings
from gender_pipeline.sources.sample import SampleSettings
from gender_pipeline.splitting import SplittingSettings, official_folds, protocol_text

NAMES = ("age_gender", "celeba", "muct")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Give the good photos of a small sample."""
    folder: Path = tmp_path_factory.mktemp("protocols")
    draw_sample(SampleSettings(n_subjects=36))(folder / "raw")
    sources = SourcesSettings(data_sets={name: SourceSettings(reader=name, folder=name) for name in NAMES})
    shards = ingest_photos(folder / "raw", sources, ShardSettings())(folder / "shards")
    photos = shards.manifest()
    good = photos[photos["problem"].isna() & photos["label"].isin(["female", "male"])]
    return good.drop_duplicates("image_id").reset_index(drop=True)


def split_by(manifest: pd.DataFrame, **settings: object) -> tuple[pd.DataFrame, str]:
    split = split_photos(manifest, None, SplittingSettings(**settings))
    return split, protocol_text(prove_split(split))


def test_the_official_partition_and_folds_are_kept_and_named(manifest: pd.DataFrame) -> None:
    split, text = split_by(manifest, protocol="official", test_fold=3)
    assert text == "fold_3 tested (age_gender); official partition (celeba); own split (muct)"
    used = split[split["split"] != "excluded"]
    celeba, adience = (used[used["source"] == name] for name in ("celeba", "age_gender"))
    assert (celeba["split"] == celeba["official_split"]).all()
    assert (adience["split"].eq("test") == adience["official_split"].eq("fold_3")).all()


def test_the_own_split_is_named(manifest: pd.DataFrame) -> None:
    assert split_by(manifest)[1] == "own split (age_gender, celeba, muct)"


def test_a_fall_back_is_named_for_what_it_is(manifest: pd.DataFrame) -> None:
    in_train = manifest["official_split"].mask(manifest["source"] == "celeba", "train")
    text = split_by(manifest.assign(official_split=in_train), protocol="official", fallback="own")[1]
    assert text == "fold_0 tested (age_gender); own split (celeba, muct)"


def test_the_drawn_data_have_adiences_five_folds_and_no_others(manifest: pd.DataFrame) -> None:
    assert official_folds(manifest) == {"age_gender": {0, 1, 2, 3, 4}}
