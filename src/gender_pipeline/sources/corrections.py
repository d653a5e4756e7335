"""Corrections of labels: a small table under version control, applied whenever the manifest is listed.

Archives and shards stay as they are; what people have decided about single photos is a file of its own, one row a
photo, so that a review is a commit, and taking it back is one too.
"""

import csv
import json
import logging
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Final

import pandas as pd

from gender_pipeline.errors import ManifestError, examples
from gender_pipeline.files import write_text

CORRECTION_COLUMNS: Final = ("image_id", "label", "reviewer", "note")
ORIGINAL_LABEL: Final = "original_label"
TAKEN_OUT: Final = "taken out by review"
_REVIEW_COLUMNS: Final = ("image_id", "suggested_label", "accept")
_IMAGE_ID: Final = re.compile(r"[0-9a-f]{64}")
_YES: Final = frozenset({"yes", "y", "x", "1", "true"})
_NO: Final = frozenset({"", "no", "n", "0", "false"})
_OUT: Final = "out"
_log = logging.getLogger(__name__)


def read_corrections(path: Path) -> pd.DataFrame:
    """Read the table of corrections.

    Args:
        path: A CSV file of the columns `CORRECTION_COLUMNS`; an empty label takes the photo out.

    Returns:
        The table, all str, one row a photo; a row that is there twice is given once.

    Raises:
        ManifestError: The file is missing or no such table, an id is none, or two rows of a photo differ in the label.
    """
    rows = _read_rows(path, CORRECTION_COLUMNS)
    return pd.DataFrame(_merged([], rows, path), columns=list(CORRECTION_COLUMNS), dtype="str")


def apply_corrections(manifest: pd.DataFrame, corrections: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return the manifest with the corrected labels.

    A corrected row keeps the label it had as `original_label` in the JSON of `attributes`; a photo that is taken out
    keeps its label and gets the problem `taken out by review: <note>`, which the quarantine shows.

    Args:
        manifest: One row a photo, columns of `MANIFEST_SCHEMA`; all rows of the same bytes are corrected.
        corrections: What `read_corrections` gave. Photos that are not in the manifest are counted in the log: other
            sources than those of this run may have been reviewed too.
        classes: The classes a label may be corrected to.

    Raises:
        ManifestError: A label is none of the classes.
    """
    labels = dict(zip(corrections["image_id"], corrections["label"], strict=True))
    unknown = corrections[~corrections["label"].isin([*classes, ""])]
    if len(unknown):
        row = unknown.iloc[0]
        raise ManifestError(
            f"label correction of photo {row['image_id']} has an unknown label",
            expected=f"one of {', '.join(classes)}, or nothing to take the photo out",
            received=examples(sorted(set(unknown["label"]))),
            remedy="correct the table of label corrections",
        )
    absent = len(labels.keys() - set(manifest["image_id"]))
    if absent:
        _log.warning("%d of %d label corrections are for photos that are not in the manifest", absent, len(labels))
    corrected = manifest["image_id"].map(labels)  # NaN where there is none
    relabelled = corrected.notna() & (corrected != "") & (corrected != manifest["label"].fillna(""))
    taken_out = (corrected == "") & manifest["problem"].isna()
    notes = dict(zip(corrections["image_id"], corrections["note"], strict=True))
    return manifest.assign(
        label=manifest["label"].where(~relabelled, corrected),
        attributes=_with_original(manifest[relabelled]).reindex(manifest.index).fillna(manifest["attributes"]),
        problem=manifest["problem"].where(~taken_out, manifest["image_id"].map(lambda key: _reason(notes.get(key)))),
    )


def accept_corrections(reviewed: Path, table: Path, reviewer: str = "") -> int:
    """Add what a review accepted to the table of corrections, in one rename.

    Args:
        reviewed: A CSV file with the columns `image_id`, `suggested_label` and `accept`, others are passed over:
            `suspected_labels.csv` with the column `accept` filled in, or what the review page saves. `yes` or `x`
            accepts the suggested label, `out` takes the photo out, `no` or nothing leaves it.
        table: The table to add to; made where it does not exist.
        reviewer: Who decided.

    Returns:
        How many rows were added; a correction that is there already is not added again.

    Raises:
        ManifestError: A file cannot be read as what it should be, an answer is another word, or the table has another
            correction of the same photo.
    """
    old = _read_rows(table, CORRECTION_COLUMNS) if table.exists() else []
    answers = _read_rows(reviewed, _REVIEW_COLUMNS)
    new = [_correction(row, reviewed, reviewer) for row in answers if row["accept"].lower() not in _NO]
    merged = _merged(old, new, reviewed)
    n_added = len(merged) - len(_merged([], old, table))
    if n_added:  # else the file keeps its bytes, and DVC runs nothing again
        text = StringIO()
        writer = csv.DictWriter(text, CORRECTION_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: row[name] for name in CORRECTION_COLUMNS} for row in merged)
        write_text(table, text.getvalue())
    return n_added


def _read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read rows as dicts with their place in `row`; a header, and as many values in each row as it has."""
    try:
        lines = list(csv.reader(StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path} cannot be read: {error}", expected=f"a CSV file with {_row(columns)}") from error
    header = lines[0] if lines else []
    if not set(columns) <= set(header) or len(set(header)) != len(header):
        raise ManifestError(f"{path} has another header", expected=_row(columns), received=_row(header))
    rows = []
    for number, values in enumerate(lines[1:], start=2):
        if not values:
            continue
        # pandas would take a surplus value for an index and shift all columns.
        if len(values) != len(header):
            raise ManifestError(
                f"row {number} of {path} is not like the header",
                expected=f"{len(header)} values",
                received=f"{len(values)}",
                remedy="put a text that holds a comma in quotation marks",
            )
        row = {name: value.strip() for name, value in zip(header, values, strict=True)}
        if not _IMAGE_ID.fullmatch(row["image_id"]):
            raise ManifestError(
                f"row {number} of {path} has no image_id",
                expected="64 hex digits in lower case",
                received=repr(row["image_id"][:80]),
                remedy="copy it from the manifest",
            )
        rows.append({**row, "row": str(number)})
    return rows


def _row(names: Sequence[str]) -> str:
    return ",".join(names)[:200] or "nothing"


def _correction(answer: dict[str, str], path: Path, reviewer: str) -> dict[str, str]:
    word = answer["accept"].lower()
    if word not in {*_YES, _OUT} or (word in _YES and not answer["suggested_label"]):
        raise ManifestError(
            f"row {answer['row']} of {path} has no clear answer",
            expected="yes with a suggested_label, out, or no in the column accept",
            received=f"{answer['accept'][:40]!r} with {answer['suggested_label'][:40]!r}",
        )
    label = "" if word == _OUT else answer["suggested_label"]
    return {**answer, "label": label, "reviewer": reviewer, "note": answer.get("note", "")}


def _merged(old: Sequence[dict[str, str]], new: Sequence[dict[str, str]], path: Path) -> list[dict[str, str]]:
    """Put one row a photo in a list, the old ones first."""
    rows: dict[str, dict[str, str]] = {}
    for row in (*old, *new):
        known = rows.setdefault(row["image_id"], row)
        if known["label"] != row["label"]:
            raise ManifestError(
                f"row {row['row']} of {path}: photo {row['image_id']} is corrected twice",
                expected="one correction a photo",
                received=f"{known['label']!r} in row {known['row']} before, then {row['label']!r}",
                remedy="keep the right one",
            )
    return list(rows.values())


def _with_original(rows: pd.DataFrame) -> "pd.Series[str]":
    labels = rows["label"].astype(object).where(rows["label"].notna(), None)  # JSON's null where there was none
    texts = [
        json.dumps(json.loads(attributes) | {ORIGINAL_LABEL: label}, sort_keys=True)
        for attributes, label in zip(rows["attributes"], labels, strict=True)
    ]
    return pd.Series(texts, index=rows.index, dtype=rows["attributes"].dtype)


def _reason(note: str | None) -> str:
    return f"{TAKEN_OUT}: {note}" if note else TAKEN_OUT
