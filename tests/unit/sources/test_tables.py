from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gender_pipeline.errors import SourceError
from gender_pipeline.sources.archives import ArchiveLimits
from gender_pipeline.sources.tables import RowError, lines_of, number, parse_table, read_file, split, tables_in
from layouts import pack

LIMITS = ArchiveLimits(max_member_mib=1)


def test_byte_order_mark_windows_and_old_mac_line_ends_and_blank_lines_change_nothing() -> None:
    assert lines_of("\ufeffa b\r\n\r\nc\x0cd\re\n".encode(), "t") == ["a b", "c\x0cd", "e"]


@pytest.mark.parametrize("text", ["ä b".encode("latin-1"), "a b".encode("utf-16")])
def test_a_table_in_another_encoding_is_an_error_that_shows_the_byte(text: bytes) -> None:
    with pytest.raises(
        SourceError, match=r"t.txt is not text in UTF-8; received byte 0x(e4|ff) at 0; save it as UTF-8"
    ):
        lines_of(text, "t.txt")


def test_an_empty_table_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"t.txt is empty; expected a table"):
        lines_of(b"\xef\xbb\xbf\n \n", "t.txt")


@pytest.mark.parametrize(
    "lines", [["k a b", "x  1 -1", "y 1  1 "], ["k,a,b", "x, 1,-1", 'y,"1",1'], ["k\ta\tb", "x\t1\t-1"]]
)
def test_spaces_commas_and_tabs_are_told_by_the_header(lines: list[str]) -> None:
    assert parse_table("t", lines, key=("k",)).row("x") == {"k": "x", "a": "1", "b": "-1"}


def test_several_key_columns_join_in_the_order_asked_for() -> None:
    table = parse_table("t", ["a,b,c", "1,2,3"], key=("c", "a"))
    assert table.row("3/1") == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize("header", ["k,b", "a,b", "k,a,a", ""])
def test_a_missing_or_doubled_column_is_an_error_that_lists_the_columns(header: str) -> None:
    with pytest.raises(SourceError, match=r"t does not have the columns .*expected k, a, each once"):
        parse_table("t", [header, "1,2"], key=("k",), required=("a",))


def test_two_rows_of_one_key_are_an_error_only_where_they_differ() -> None:
    assert len(parse_table("t", ["k,a", "x,1", "x,1"], key=("k",)).rows) == 1
    with pytest.raises(SourceError, match="t has two different rows for x; keep the right one"):
        parse_table("t", ["k,a", "x,1", "x,2"], key=("k",))


def test_a_ragged_or_absent_row_is_its_photos_problem() -> None:
    table = parse_table("t", ["k,a", "x,1,2", "y"], key=("k",))
    with pytest.raises(RowError, match="row of 3 values, not 2, in t"):
        table.row("x")
    with pytest.raises(RowError, match="row of 1 values, not 2, in t"):
        table.row("y")
    with pytest.raises(RowError, match="photo without a row in t"):
        table.row("z")


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-1e7", "1_0x"])
def test_what_is_no_usable_number_is_a_row_error(text: str) -> None:
    with pytest.raises(RowError, match=f"unknown tilt '{text}'"):
        number(text, "tilt")


@given(st.floats(-1e6, 1e6))
def test_every_number_in_range_is_read_as_it_was_written(value: float) -> None:
    assert number(repr(value), "x") == value


@given(st.lists(st.text("abc-1", min_size=1), min_size=1))
def test_split_undoes_join_for_every_separator(values: list[str]) -> None:
    for separator, text in (("\t", "\t"), (",", ","), (None, "  ")):
        assert split(text.join(values), separator) == values


def test_a_table_file_that_is_too_large_or_unreadable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(SourceError, match=r"t.txt is too large for a table; expected at most 1 MiB"):
        read_file(tmp_path / "t.txt", LIMITS)
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        read_file(tmp_path, LIMITS)


def test_a_refused_table_in_an_archive_is_an_error_and_other_refused_members_are_not(tmp_path: Path) -> None:
    path = pack(tmp_path / "x.tar", {"../a.jpg": b"1", "t.txt": b"1", "u.txt": bytes((1 << 20) + 1)})
    assert list(tables_in(path, LIMITS, lambda name: name == "t.txt")) == [("t.txt", b"1")]
    with pytest.raises(SourceError, match=r"the table u.txt is unusable: larger than 1 MiB"):
        list(tables_in(path, LIMITS, lambda name: name == "u.txt"))
