"""What every reader of `SOURCES` keeps to."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import layouts
from gender_pipeline.errors import SourceError
from gender_pipeline.schema import Photo
from gender_pipeline.sources import SOURCES, SourceSettings, archives, read_photos, source_digest

EACH_READER = pytest.mark.parametrize("reader", SOURCES)


@pytest.fixture(scope="module")
def all_layouts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, SourceSettings]]:
    root = tmp_path_factory.mktemp("raw")
    return root, {reader: layouts.LAYOUTS[reader](root / reader) for reader in SOURCES}


@pytest.fixture
def source(all_layouts: tuple[Path, dict[str, SourceSettings]], reader: str) -> tuple[Path, SourceSettings]:
    root, settings = all_layouts
    return root, settings[reader]


@pytest.fixture
def own_source(source: tuple[Path, SourceSettings], tmp_path: Path) -> tuple[Path, SourceSettings]:
    """A copy that a test may change."""
    root, settings = source
    shutil.copytree(root / settings.folder, tmp_path / settings.folder)
    return tmp_path, settings


@EACH_READER
def test_every_name_is_unique_and_every_good_photo_has_bytes_a_subject_and_a_class(
    source: tuple[Path, SourceSettings],
) -> None:
    photos = list(read_photos(*source))
    assert len({photo.name for photo in photos}) == len(photos)
    good = [photo for photo in photos if photo.problem is None]
    assert good
    assert all(photo.data and photo.subject_id for photo in good)
    assert len({photo.label for photo in good} - {None}) == 2


@EACH_READER
def test_reading_twice_gives_the_same_photos_in_the_same_order(source: tuple[Path, SourceSettings]) -> None:
    assert [repr(photo) for photo in read_photos(*source)] == [repr(photo) for photo in read_photos(*source)]


@EACH_READER
def test_a_photo_is_read_when_it_is_asked_for(
    source: tuple[Path, SourceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    n_read = 0
    original = archives._read

    def count(*arguments: Any) -> archives.Member:
        nonlocal n_read
        n_read += not arguments[0].endswith((".txt", ".csv", ".mat"))
        return original(*arguments)

    monkeypatch.setattr(archives, "_read", count)
    photos = read_photos(*source)
    for number in (1, 2):
        next(photos)
        assert n_read == number


@EACH_READER
def test_the_digest_is_stable_and_follows_content_name_and_settings(own_source: tuple[Path, SourceSettings]) -> None:
    root, settings = own_source
    digests = [source_digest(root, settings), source_digest(root, settings)]
    assert digests[0] == digests[1]
    file = max(path for path in (root / settings.folder).rglob("*") if path.is_file())
    file.write_bytes(file.read_bytes() + b"\n")
    digests.append(source_digest(root, settings))
    file.rename(file.with_name(f"other_{file.name}"))
    digests.append(source_digest(root, settings))
    digests.append(source_digest(root, settings.model_copy(update={"publishable": True})))
    assert len(set(digests)) == 4


@EACH_READER
def test_hidden_files_change_neither_digest_nor_photos(own_source: tuple[Path, SourceSettings]) -> None:
    root, settings = own_source
    before = source_digest(root, settings), [photo.name for photo in read_photos(root, settings)]
    (root / settings.folder / ".gitignore").write_text("/img_align_celeba.zip")
    (root / settings.folder / ".cache").mkdir()
    (root / settings.folder / ".cache" / "1.jpg").write_bytes(b"1")
    assert (source_digest(root, settings), [photo.name for photo in read_photos(root, settings)]) == before


@EACH_READER
def test_publishable_true_and_false_hold_for_all_photos(source: tuple[Path, SourceSettings]) -> None:
    root, settings = source
    for value in (True, False):
        photos = list(read_photos(root, settings.model_copy(update={"publishable": value})))
        assert {photo.publishable for photo in photos if photo.problem is None} == {value}


@EACH_READER
def test_a_missing_root_and_a_missing_folder_are_errors(tmp_path: Path, reader: str) -> None:
    settings = SourceSettings(reader=reader, folder="nowhere")
    for function in (read_photos, source_digest):
        with pytest.raises(SourceError, match=r"raw root .*absent does not exist; expected .*; correct raw_root"):
            function(tmp_path / "absent", settings)
    with pytest.raises(SourceError, match="nowhere"):
        list(read_photos(tmp_path, settings))
    with pytest.raises(SourceError, match="nowhere"):
        source_digest(tmp_path, settings)


@EACH_READER
def test_an_empty_folder_is_an_error_that_names_it(tmp_path: Path, reader: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="empty"):
        list(read_photos(tmp_path, SourceSettings(reader=reader, folder="empty")))


@EACH_READER
def test_a_cut_file_gives_rows_or_one_line_but_no_other_error(own_source: tuple[Path, SourceSettings]) -> None:
    root, settings = own_source
    for file in sorted((root / settings.folder).rglob("*")):
        if file.is_file() and settings.reader != "folder":
            whole = file.read_bytes()
            for share in (0.0, 0.3, 0.99):
                file.write_bytes(whole[: int(len(whole) * share)])
                _read_or_one_line(root, settings)
            file.write_bytes(whole)


def _read_or_one_line(root: Path, settings: SourceSettings) -> list[Photo]:
    try:
        return list(read_photos(root, settings))
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017
        return []


def test_an_unknown_reader_is_an_error_that_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"unknown reader 'imdb'; expected one of muct, celeba, age_gender, peta, rap"
    ):
        read_photos(tmp_path, SourceSettings(reader="imdb", folder="imdb"))


def test_a_name_that_comes_twice_is_refused_the_second_time_under_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = [Photo(name, b"1", "s", "a") for name in ("x.jpg", "x.jpg (photo 2)", "x.jpg", "x.jpg")]
    monkeypatch.setitem(SOURCES, "folder", lambda *_: iter(photos))
    found = list(read_photos(tmp_path, SourceSettings(reader="folder", folder="x")))
    assert len({photo.name for photo in found}) == 4
    assert [photo.problem for photo in found] == [None, None, "duplicated name", "duplicated name"]
    assert found[2].data == b""


def test_a_linked_folder_of_photos_counts_for_the_digest(tmp_path: Path) -> None:
    settings = layouts.celeba(tmp_path / "celeba", packing="")
    elsewhere = (tmp_path / "celeba" / "img_align_celeba").rename(tmp_path / "elsewhere")
    (tmp_path / "celeba" / "img_align_celeba").symlink_to(elsewhere)
    assert len(list(read_photos(tmp_path, settings))) == 6
    before = source_digest(tmp_path, settings)
    (elsewhere / "000001.jpg").write_bytes(b"other")
    assert source_digest(tmp_path, settings) != before


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("reader", "folder", "n_photos", "n_subjects", "labels"),
    [
        ("celeba", "celeba", 10_000, 5_429, {"female": 5783, "male": 4217}),
        ("age_gender", "age_gender", 3_000, 1_708, {"female": 1360, "male": 1549, None: 91}),
        ("muct", "muct", 1_000, 200, {"female": 500, "male": 500}),
        ("folder", "portraits", 200, 200, {"female": 100, "male": 100}),
    ],
)
def test_the_real_archives_give_all_their_photos(
    real_data: Path, reader: str, folder: str, n_photos: int, n_subjects: int, labels: dict[str | None, int]
) -> None:
    photos = list(read_photos(real_data, SourceSettings(reader=reader, folder=folder)))
    assert len(photos) == n_photos
    assert {photo.problem for photo in photos} == {None}
    assert all(photo.data.startswith(b"\xff\xd8") for photo in photos)
    assert len({photo.subject_id for photo in photos}) == n_subjects
    found = [photo.label for photo in photos]
    assert {label: found.count(label) for label in labels} == labels
