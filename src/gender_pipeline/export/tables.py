"""A row for each face in photos, counted, and written as CSV, JSON or Parquet while they come."""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from tqdm import tqdm

from gender_pipeline.export.photos import answer_members, count_photos, find_photos
from gender_pipeline.export.predictor import NO_FACE, Crop, PhotoAnswer, Predictor
from gender_pipeline.files import atomic_path
from gender_pipeline.schema import Settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_BOX: Final = ("x", "y", "width", "height")
_GROUP_ROWS: Final = 1000  # of a Parquet file: what is held in memory

Row: TypeAlias = dict[str, Any]
Write: TypeAlias = Callable[[list[Row]], object]


class ScoringSettings(Settings):
    """How a folder or archive of photos is answered.

    Attributes:
        crop: `face` or `none`; None follows the model.
    """

    crop: Crop | None = None


@dataclass
class Tally:
    """What was counted while photos were answered.

    Attributes:
        photos: Photos, answered or not.
        faces: Answers given.
        without_face: Photos in which no face was found.
        unreadable: Photos that are no image, or cannot be read.
        labels: Answers by label.
    """

    photos: int = 0
    faces: int = 0
    without_face: int = 0
    unreadable: int = 0
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, rows: Sequence[Row]) -> None:
        """Count the rows of one photo."""
        self.photos += 1
        problem = rows[0]["problem"]
        if problem is None:
            self.faces += len(rows)
            self.labels.update(row["label"] for row in rows)
        elif problem == NO_FACE:
            self.without_face += 1
        else:
            self.unreadable += 1

    def counts(self) -> dict[str, int]:
        """Return the numbers by name, those of the labels as `answers.<label>`."""
        labels = {f"answers.{label}": number for label, number in sorted(self.labels.items())}
        named = ("photos", "faces", "without_face", "unreadable")
        return {**{name: getattr(self, name) for name in named}, **labels}


def score(predictor: Predictor, paths: Sequence[Path], write: Write, *, crop: Crop | None = None) -> Tally:
    """Answer the photos of files, folders and archives as a stream, with a progress bar.

    Args:
        predictor: Answers them.
        paths: What `find_photos` takes.
        write: Gets the rows of each photo (`face_rows`).
        crop: What is cut out of a photo; None follows the model.

    Raises:
        SourceError: A path does not exist, or an archive is damaged.
    """
    tally = Tally()
    photos = answer_members(predictor, find_photos(paths), crop=crop)
    for name, answer in tqdm(photos, total=count_photos(paths), desc="photos", unit=" photos", disable=None):
        rows = face_rows(name, answer, predictor.class_names)
        write(rows)
        tally.add(rows)
    return tally


def face_rows(name: str, answer: PhotoAnswer, class_names: Sequence[str]) -> list[Row]:
    """Return a row a face: photo, face (1 is the largest), box, label, probability, problem, `p_<class>` a class.

    A photo without an answer is one row with a problem, and None for all that is not known.
    """
    unknown = dict.fromkeys(("face", *_BOX, "label", "probability"))
    if answer.problem is not None:
        nothing = dict.fromkeys(f"p_{label}" for label in class_names)
        return [{"photo": name, **unknown, "problem": answer.problem, **nothing}]
    rows = []
    for number, face in enumerate(answer.faces, 1):
        best = int(face.probabilities.argmax())
        rows.append(
            {
                "photo": name,
                **unknown,
                "face": number,
                **dict(zip(_BOX, face.box or (None,) * 4, strict=True)),
                "label": class_names[best],
                "probability": float(face.probabilities[best]),
                "problem": None,
                **{f"p_{label}": float(p) for label, p in zip(class_names, face.probabilities, strict=True)},
            }
        )
    return rows


def rows_table(rows: Sequence[Row], class_names: Sequence[str]) -> "pd.DataFrame":
    """Return rows as a table whose columns have the same types whatever is in them, were it nothing."""
    import pandas as pd
    import pyarrow as pa

    table = pa.Table.from_pylist(list(rows), _schema(class_names))
    found: pd.DataFrame = table.to_pandas(types_mapper={pa.int32(): pd.Int32Dtype()}.get)
    return found


@contextmanager
def rows_writer(output: str, path: Path, class_names: Sequence[str]) -> Iterator[Write]:
    """Give a function that writes the rows of a photo as they come; the file is there when all are, and not before.

    Args:
        output: `csv`, `json` (one object a photo and line) or `parquet`.
        path: The file.
        class_names: Of the columns `p_<class>`.
    """
    with atomic_path(path) as temporary:
        if output == "parquet":
            with _parquet_writer(temporary, class_names) as write:
                yield write
        else:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                yield text_writer(output, file, class_names)


def text_writer(output: str, file: IO[str], class_names: Sequence[str]) -> Write:
    """Return a function that writes the rows of a photo to an open file, as `csv` or `json`."""
    if output == "csv":
        writer = csv.DictWriter(file, _columns(class_names))
        writer.writeheader()
        return writer.writerows
    return lambda rows: file.write(json.dumps(_photo(rows), ensure_ascii=False) + "\n")


def _photo(rows: list[Row]) -> dict[str, Any]:
    of_photo = {name: rows[0][name] for name in ("photo", "problem")}
    faces = [{name: row[name] for name in row if name not in of_photo} for row in rows if row["problem"] is None]
    return {**of_photo, "faces": faces}


@contextmanager
def _parquet_writer(path: Path, class_names: Sequence[str]) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(class_names)
    waiting: list[Row] = []
    with pq.ParquetWriter(path, schema) as writer:

        def write(rows: list[Row]) -> None:
            waiting.extend(rows)
            if len(waiting) >= _GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(waiting, schema))
                waiting.clear()

        yield write
        if waiting:
            writer.write_table(pa.Table.from_pylist(waiting, schema))


def _schema(class_names: Sequence[str]) -> "pa.Schema":
    import pyarrow as pa

    kinds = {"photo": pa.string(), "label": pa.string(), "problem": pa.string(), "face": pa.int32()}
    kinds |= dict.fromkeys(_BOX, pa.int32())
    return pa.schema([(name, kinds.get(name, pa.float32())) for name in _columns(class_names)])


def _columns(class_names: Sequence[str]) -> list[str]:
    return list(face_rows("", PhotoAnswer(problem=""), class_names)[0])
