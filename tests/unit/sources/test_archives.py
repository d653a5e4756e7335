import gzip
import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gender_pipeline.errors import SourceError
from gender_pipeline.sources.archives import ArchiveLimits, Member, find_archive, is_photo, read_members
from layouts import add, noise, pack

LIMITS = ArchiveLimits(max_member_mib=1)
FILES = {f"top/{number}.jpg": noise(number) for number in range(4)}
PACKINGS = pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar", ""])


def read(path: Path, limits: ArchiveLimits = LIMITS) -> list[Member]:
    return list(read_members(path, limits))


def problems(path: Path) -> dict[str, str | None]:
    members = read(path)
    assert all(bool(member.data) != bool(member.problem) for member in members)
    return {member.name: member.problem for member in members}


def one_header_tar(path: Path, name: str, **header: object) -> Path:
    """A tar with one odd member before a good one."""
    with tarfile.open(path, "w") as archive:
        add(archive, name, **header)
        add(archive, "good.jpg", b"good")
    return path


@PACKINGS
def test_every_packing_gives_the_same_photos_in_the_same_order(tmp_path: Path, suffix: str) -> None:
    path = pack(tmp_path / f"top{suffix}", {**FILES, "top/README.txt": b"no photo"})
    assert read(path) == [Member(name, data) for name, data in FILES.items()]


@pytest.mark.parametrize("name", ["top.jpg", "top.data", "top.zip"])
def test_an_archive_is_told_by_its_content_not_its_name(tmp_path: Path, name: str) -> None:
    pack(tmp_path / "made.tar.gz", FILES).rename(tmp_path / name)
    assert len(read(tmp_path / name)) == 4


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar"])
@pytest.mark.parametrize(
    ("name", "shown", "problem"),
    [
        ("../../etc/x.jpg", "../../etc/x.jpg", "member name leaves the archive"),
        ("a/../../x", "../x", "member name leaves the archive"),
        ("/etc/x.jpg", "/etc/x.jpg", "absolute member name"),
        ("C:/x.jpg", "C:/x.jpg", "absolute member name"),
        ("a\\x.jpg", "a\\x.jpg", "backslash in the member's name"),
        ("a\x1b[2Jx.jpg", "a?[2Jx.jpg", "member name is not printable UTF-8"),
        ("a" * 2000 + ".jpg", "a" * 1024, "member name over 1024 characters"),
        ("empty.jpg", "empty.jpg", "empty file"),
    ],
)
def test_a_bad_name_is_refused_and_the_others_are_read(
    tmp_path: Path, suffix: str, name: str, shown: str, problem: str
) -> None:
    data = b"" if name == "empty.jpg" else b"bad"
    path = pack(tmp_path / f"x{suffix}", {name: data, "good.jpg": b"good"})
    assert problems(path) == {shown: problem, "good.jpg": None}


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "link, not a file"),
        ({"type": tarfile.LNKTYPE, "linkname": "good.jpg"}, "link, not a file"),
        ({"type": tarfile.CHRTYPE}, "not a regular file"),
        ({"type": tarfile.FIFOTYPE}, "not a regular file"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, header: dict[str, object], problem: str) -> None:
    path = one_header_tar(tmp_path / "x.tar", "odd.jpg", **header)
    assert problems(path) == {"odd.jpg": problem, "good.jpg": None}


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        add(archive, "müller.jpg", b"bad")
    assert problems(path) == {"m?ller.jpg": "member name is not printable UTF-8"}


def test_leading_dots_and_doubled_slashes_make_no_other_name(tmp_path: Path) -> None:
    assert problems(pack(tmp_path / "x.tar", {"./a//b.jpg": b"1"})) == {"a/b.jpg": None}


@pytest.mark.parametrize(
    ("name", "photo"),
    [("a/b.JPG", True), ("b.webp", True), ("README", False), (".DS_Store", False), ("Thumbs.db", False),
     ("__MACOSX/a/b.jpg", False), ("a/._b.jpg", False), (".cache/b.jpg", False), ("b.txt", False)],
)  # fmt: skip
def test_a_photo_is_told_by_its_suffix_and_is_not_hidden(name: str, photo: bool) -> None:
    assert is_photo(name) is photo


@PACKINGS
def test_a_member_larger_than_the_limit_is_refused_unread(tmp_path: Path, suffix: str) -> None:
    path = pack(tmp_path / f"top{suffix}", {"top/big.jpg": bytes((1 << 20) + 1), "top/fits.jpg": bytes(1 << 20)})
    assert problems(path) == {"top/big.jpg": "larger than 1 MiB", "top/fits.jpg": None}


@PACKINGS
def test_more_members_than_the_limit_are_an_error(tmp_path: Path, suffix: str) -> None:
    path = pack(tmp_path / f"top{suffix}", FILES)
    with pytest.raises(SourceError, match=r"top.* has too many members; expected at most 3"):
        read(path, ArchiveLimits(max_members=3))


def test_a_zip_bomb_with_a_lying_header_is_bounded_by_the_header(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", {"bomb.jpg": bytes(300 << 20)})
    raw = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<L", raw, raw.index(mark) + offset, 100)
    path.write_bytes(raw)
    tracemalloc.start()
    assert problems(path) == {"bomb.jpg": "damaged member: Bad CRC-32 for file 'bomb.jpg'"}
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


def test_an_encrypted_a_linked_and_an_lzma_member_of_a_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    link, fifo = zipfile.ZipInfo("link.jpg"), zipfile.ZipInfo("fifo.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    fifo.external_attr = (stat.S_IFIFO | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("locked.jpg", b"locked")
        archive.writestr(link, b"/etc/passwd")
        archive.writestr(fifo, b"")
        archive.writestr("lzma.jpg", b"lzma", compress_type=zipfile.ZIP_LZMA)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    assert problems(path) == {
        "locked.jpg": "encrypted member",
        "link.jpg": "link, not a file",
        "fifo.jpg": "not a regular file",
        "lzma.jpg": "compression method 14, not deflate",
    }


def test_a_damaged_member_of_a_zip_costs_only_itself(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.zip", FILES)
    raw = bytearray(path.read_bytes())
    raw[raw.index(FILES["top/1.jpg"][100:200])] ^= 1
    path.write_bytes(raw)
    assert problems(path) == dict.fromkeys(FILES) | {"top/1.jpg": "damaged member: Bad CRC-32 for file 'top/1.jpg'"}


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_an_archive_that_is_cut_off_is_an_error(tmp_path: Path, suffix: str, share: float) -> None:
    path = pack(tmp_path / f"x{suffix}", FILES)
    data = path.read_bytes()
    end = data.rstrip(b"\0") if suffix == ".tar" else data  # the last of a tar is padding
    path.write_bytes(data[: int(len(end) * share)])
    with pytest.raises(
        SourceError, match=r"x\..* is damaged or no archive: .*; expected a whole zip.*; fetch it again"
    ):
        read(path)


def test_a_tar_cut_between_two_members_is_an_error(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", FILES)
    path.write_bytes(path.read_bytes()[: 512 + 5120])
    with pytest.raises(SourceError, match="damaged or no archive: empty header at byte 5632"):
        read(path)


def test_a_damaged_header_amid_a_tar_does_not_pass_for_its_end(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", FILES)
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"top/2.jpg")] ^= 1
    path.write_bytes(raw)
    with pytest.raises(SourceError, match="bad checksum at byte"):
        read(path)


def test_a_wrong_checksum_of_a_gz_is_an_error(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar.gz", FILES)
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    with pytest.raises(SourceError, match="CRC check failed"):
        read(path)


def test_a_web_page_in_an_archives_place_is_an_error_that_shows_how_it_begins(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("<!DOCTYPE html><title>404</title>")
    with pytest.raises(SourceError, match=r"received 33 bytes that begin with b'<!DOCTYP'"):
        read(tmp_path / "x.zip")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_claims_gigabytes_is_refused_before_it_is_read(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 4 << 30
    path = tmp_path / "x.tar.gz"
    with gzip.open(path, "wb") as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    with pytest.raises(SourceError, match="a header claims 4294967296 bytes"):
        read(path)


def test_endless_padding_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add(archive, "1.jpg", b"1")
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(buffer.getvalue() + bytes(66 << 20))
    with pytest.raises(SourceError, match="over 64 MiB follow the last member"):
        read(path)


def test_a_folder_is_read_in_name_order_without_following_links(tmp_path: Path) -> None:
    pack(tmp_path / "top", {"top/b/1.jpg": b"1", "top/a/2.jpg": b"2", "secret/3.jpg": b"3"})
    (tmp_path / "top" / "c").symlink_to(tmp_path / "secret")
    (tmp_path / "top" / "a" / "4.jpg").symlink_to(tmp_path / "secret" / "3.jpg")
    os.mkfifo(tmp_path / "top" / "a" / "5.jpg")
    assert list(problems(tmp_path / "top").items()) == [
        ("top/c", "link, not a file"),
        ("top/a/2.jpg", None),
        ("top/a/4.jpg", "link, not a file"),
        ("top/a/5.jpg", "not a regular file"),
        ("top/b/1.jpg", None),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_photo_is_refused_and_an_unreadable_folder_is_an_error(tmp_path: Path) -> None:
    pack(tmp_path / "top", FILES)
    (tmp_path / "top" / "0.jpg").chmod(0)
    assert problems(tmp_path / "top")["top/0.jpg"] == "damaged member: Permission denied"
    (tmp_path / "top").chmod(0o200)
    with pytest.raises(SourceError, match="received a folder that cannot be read"):
        read(tmp_path / "top")


def test_the_first_stem_that_is_there_is_found(tmp_path: Path) -> None:
    path = pack(tmp_path / "b.tgz.tar.gz", FILES).rename(tmp_path / "b.tgz")
    assert find_archive(tmp_path, "a", "b") == path
    (tmp_path / "a").mkdir()
    assert find_archive(tmp_path, "a", "b") == tmp_path / "a"


def test_two_packings_of_one_stem_are_an_error(tmp_path: Path) -> None:
    for suffix in (".zip", ".tar"):
        pack(tmp_path / f"a{suffix}", FILES)
    with pytest.raises(SourceError, match=r"a is there twice; received a.zip, a.tar; remove all but one"):
        find_archive(tmp_path, "a")


def test_a_missing_archive_is_an_error_that_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "img_celeba.7z").touch()
    with pytest.raises(
        SourceError, match=r"no photos found; expected a, each as one of .zip, .*received img_celeba.7z"
    ):
        find_archive(tmp_path, "a")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_bytes_are_changed_the_archive_gives_members_or_one_error(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    path = pack(tmp_path / f"x{suffix}", {name: content[:300] for name, content in FILES.items()})
    raw = bytearray(path.read_bytes())
    places = st.integers(0, len(raw) - 1)
    for place in data.draw(st.lists(places, max_size=4)):
        raw[place] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.one_of(st.just(len(raw)), places))])
    try:
        members = read(path)
    except SourceError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert all(bool(member.data) != bool(member.problem) for member in members)
