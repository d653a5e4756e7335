import json
import logging
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gender_pipeline.errors import ManifestError
from gender_pipeline.sources.corrections import (
    CORRECTION_COLUMNS,
    accept_corrections,
    apply_corrections,
    read_corrections,
)

A, B, C, D = (letter * 64 for letter in "abcd")
HEADER = ",".join(CORRECTION_COLUMNS)
CLASSES = ("female", "male")


def table(folder: Path, *rows: str, header: str = HEADER, name: str = "corrections.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.fixture
def manifest() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": [A, B, C, A],
            "label": ["female", None, "male", "male"],
            "attributes": ['{"x": 1}', "{}", "{}", '{"y": 2}'],
            "problem": [None, None, "truncated", None],
        }
    )


def corrected(folder: Path, manifest: pd.DataFrame, *rows: str) -> pd.DataFrame:
    return apply_corrections(manifest, read_corrections(table(folder, *rows)), CLASSES)


def test_no_corrections_change_nothing(tmp_path: Path, manifest: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(corrected(tmp_path, manifest), manifest)


def test_a_corrected_label_keeps_the_original_one_in_the_attributes(tmp_path: Path, manifest: pd.DataFrame) -> None:
    before = manifest.copy()
    found = corrected(tmp_path, manifest, f"{B},female,me,")
    assert found["label"].tolist() == ["female", "female", "male", "male"]
    assert [json.loads(text) for text in found["attributes"]] == [{"x": 1}, {"original_label": None}, {}, {"y": 2}]
    pd.testing.assert_frame_equal(manifest, before)


def test_all_rows_of_the_same_bytes_get_the_label_and_only_those_that_change_say_so(
    tmp_path: Path, manifest: pd.DataFrame
) -> None:
    found = corrected(tmp_path, manifest, f"{A},male,me,")
    assert found["label"].tolist()[::3] == ["male", "male"]
    originals = [json.loads(text).get("original_label") for text in found["attributes"]]
    assert originals == ["female", None, None, None]


def test_an_empty_label_takes_the_photo_out_with_the_note_as_its_reason(tmp_path: Path, manifest: pd.DataFrame) -> None:
    found = corrected(tmp_path, manifest, f"{B},,me,no person: a statue", f"{C},,me,", f"{A},,,")
    reasons = ["taken out by review", "taken out by review: no person: a statue", "truncated", "taken out by review"]
    assert found["problem"].tolist() == reasons
    assert found["label"].isna().tolist() == manifest["label"].isna().tolist()


def test_corrections_of_photos_that_are_not_there_are_counted_in_the_log(
    tmp_path: Path, manifest: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    corrected(tmp_path, manifest, f"{A},male,,", f"{D},male,,")
    assert "1 of 2 label corrections are for photos that are not in the manifest" in caplog.text
    caplog.clear()
    caplog.set_level(logging.WARNING)
    corrected(tmp_path, manifest, f"{A},male,,")
    assert caplog.text == ""


def test_a_label_that_is_no_class_is_an_error(tmp_path: Path, manifest: pd.DataFrame) -> None:
    message = rf"label correction of photo {A} has an unknown label; expected one of female, male, or .*received Male"
    with pytest.raises(ManifestError, match=message):
        corrected(tmp_path, manifest, f"{A},Male,,")


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([A, B, C, D]), st.sampled_from(["", "female", "male"])))
def test_applying_corrections_twice_is_applying_them_once(labels: dict[str, str]) -> None:
    rows = pd.DataFrame({"image_id": [A, B, C], "label": ["female", None, "male"], "attributes": "{}", "problem": None})
    corrections = pd.DataFrame({"image_id": list(labels), "label": list(labels.values()), "note": ""}, dtype="str")
    once = apply_corrections(rows, corrections, CLASSES)
    pd.testing.assert_frame_equal(apply_corrections(once, corrections, CLASSES), once)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [f"{A},male,,", f"{A},female,,"],
            rf"row 3 .*{A} is corrected twice; expected one .*'male' in row 2 .*'female'",
        ),
        (["12ab,male,,"], r"row 2 of .* has no image_id; expected 64 hex digits .* received '12ab'; copy it from"),
        ([f"{A.upper()},male,,"], "row 2 of .* has no image_id"),
        ([f"{A},male,me,old, and grey"], "row 2 of .* expected 4 values; received 5; put a text that holds a comma in"),
        ([f"{A},male"], "row 2 of .* expected 4 values; received 2"),
        ([f'{A},male,,"open'], "cannot be read: unexpected end of data; expected a CSV file with image_id,label,"),
    ],
)
def test_a_bad_row_is_an_error_that_names_it(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read_corrections(table(tmp_path, *rows))


@pytest.mark.parametrize("header", ["image_id,label", "image_id,label,note,reviewer,label", ""])
def test_another_header_is_an_error(tmp_path: Path, header: str) -> None:
    with pytest.raises(ManifestError, match="has another header; expected image_id,label,reviewer,note; received"):
        read_corrections(table(tmp_path, header=header))


def test_a_missing_table_and_one_that_is_no_text_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"corrections.csv cannot be read: .*No such file"):
        read_corrections(tmp_path / "corrections.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match=r"binary.csv cannot be read: .*expected a CSV file"):
        read_corrections(tmp_path / "binary.csv")


def test_the_same_row_twice_blank_lines_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    path.write_bytes(f'\ufeff{HEADER}\r\n\r\n{A}, male ,me,"one, two"\r\n{A},male,,\r\n'.encode())
    found = read_corrections(path)
    assert found.to_dict("records") == [{"image_id": A, "label": "male", "reviewer": "me", "note": "one, two"}]


def answers(folder: Path, *rows: str) -> Path:
    return table(folder, *rows, header="accept,image_id,suggested_label,quality", name="suspected.csv")


def test_accepted_rows_come_into_the_table_and_the_others_do_not(tmp_path: Path) -> None:
    reviewed = answers(tmp_path, f"x,{A},male,0.1", f",{B},male,0.2", f"out,{C},female,0.2", f"no,{D},male,0.3")
    path = tmp_path / "new.csv"
    assert accept_corrections(reviewed, path, "me") == 2
    assert path.read_text() == f"{HEADER}\n{A},male,me,\n{C},,me,\n"


def test_accepting_twice_adds_nothing_and_keeps_what_was_there(tmp_path: Path) -> None:
    path = table(tmp_path, f'{A},male,first,"a, b"')
    reviewed = answers(tmp_path, f"yes,{A},male,0.1", f"YES,{B},male,0.1", f"yes,{B},male,0.1")
    assert accept_corrections(reviewed, path, "second") == 1
    before = path.read_bytes()
    assert accept_corrections(reviewed, path, "third") == 0
    assert path.read_bytes() == before
    assert read_corrections(path)["reviewer"].tolist() == ["first", "second"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"maybe,{A},male,0.1", "row 2 of .* has no clear answer; expected yes .*received 'maybe' with 'male'"),
        (f"yes,{A},,0.1", "row 2 of .* has no clear answer; .* received 'yes' with ''"),
        (f"yes,{B},male,0.1", rf"suspected.csv: photo {B} is corrected twice; .*'' in row 2 before, then 'male'"),
    ],
)
def test_an_unclear_answer_and_a_second_decision_are_errors_and_leave_the_table_alone(
    tmp_path: Path, row: str, message: str
) -> None:
    path = table(tmp_path, f"{B},,me,")
    before = path.read_bytes()
    with pytest.raises(ManifestError, match=message):
        accept_corrections(answers(tmp_path, row), path)
    assert path.read_bytes() == before


def test_a_review_without_its_columns_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="another header; expected image_id,suggested_label,accept; received image"):
        accept_corrections(table(tmp_path), tmp_path / "new.csv")
