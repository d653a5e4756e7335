"""Annotation tables: comma, tab or space separated text, with a byte order mark or Windows line ends if need be."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gender_pipeline.errors import SourceError, examples
from gender_pipeline.sources.archives import ArchiveLimits, read_members


class RowError(ValueError):
    """What is wrong with one row of a table; the message becomes the photo's `problem`."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows by key, each kept as its line: 200,000 CelebA rows take 50 MB so and ten times that when split.

    Attributes:
        name: The file's name, for messages.
        columns: Column names in order.
        separator: `,` or a tab; None is any run of spaces.
        rows: Line by the row's key; several key columns are joined with `/`.
    """

    name: str
    columns: tuple[str, ...]
    separator: str | None
    rows: dict[str, str]

    def row(self, key: str) -> dict[str, str]:
        """Return one row's values by column.

        Raises:
            RowError: There is no such row, or it has more or fewer values than there are columns.
        """
        if key not in self.rows:
            raise RowError(f"photo without a row in {self.name}")
        values = split(self.rows[key], self.separator)
        if len(values) != len(self.columns):
            raise RowError(f"row of {len(values)} values, not {len(self.columns)}, in {self.name}")
        return dict(zip(self.columns, values, strict=True))


def lines_of(data: bytes, name: str) -> list[str]:
    """Decode a table and return its lines that are not blank.

    Raises:
        SourceError: It is not UTF-8, or empty.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name} is not text in UTF-8",
            received=f"byte {data[error.start]:#04x} at {error.start}",
            remedy="save it as UTF-8, or fetch it again",
        ) from error
    # Not splitlines: that also breaks at form feeds and Unicode separators inside a value.
    lines = [line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()]
    if not lines:
        raise SourceError(f"{name} is empty", expected="a table", remedy="fetch it again")
    return lines


def separator_of(line: str) -> str | None:
    """Tell a table's separator from its first line: a tab, a comma, or None for spaces."""
    return next((separator for separator in "\t," if separator in line), None)


def split(line: str, separator: str | None) -> list[str]:
    """Split a line into its values, without surrounding blanks and quotation marks."""
    return [value.strip(' "') for value in line.split(separator)]


def parse_table(
    name: str,
    lines: Sequence[str],
    *,
    key: Sequence[str],
    required: Sequence[str] = (),
    columns: Sequence[str] | None = None,
) -> Table:
    """Index a table's lines by the values of the `key` columns; without `columns` the first line names them.

    Raises:
        SourceError: A column of `key` or `required` is missing, a column is there twice, or two rows of one key differ.
    """
    first = lines[0] if lines else ""
    separator = separator_of(first)
    if columns is None:
        columns, lines = split(first, separator), lines[1:]
    if not {*key, *required} <= set(columns) or len(set(columns)) != len(columns):
        raise SourceError(
            f"{name} does not have the columns of its data set",
            expected=f"{', '.join((*key, *required))}, each once",
            received=examples(columns),
            remedy="use the data set's original table",
        )
    places = [columns.index(column) for column in key]
    rows: dict[str, str] = {}
    for line in lines:
        values = [value.strip(' "') for value in line.split(separator, max(places) + 1)]
        row_key = "/".join(values[place] if place < len(values) else "" for place in places)
        if rows.setdefault(row_key, line) != line:
            raise SourceError(f"{name} has two different rows for {row_key}", remedy="keep the right one")
    return Table(name, tuple(columns), separator, rows)


def number(text: str, meaning: str) -> float:
    """Read a number of a table.

    Raises:
        RowError: It is no number, or none that coordinates, ages and angles can be (NaN, infinite, over a million).
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= 1e6:
        raise RowError(f"unknown {meaning} {text[:40]!r}")
    return value


def read_file(path: Path, limits: ArchiveLimits) -> bytes:
    """Read a table that lies in a file of its own.

    Raises:
        SourceError: It cannot be read, or is larger than `limits` allow a member to be.
    """
    try:
        with path.open("rb") as file:
            data = file.read((limits.max_member_mib << 20) + 1)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > limits.max_member_mib << 20:
        raise SourceError(f"{path} is too large for a table", expected=f"at most {limits.max_member_mib} MiB")
    return data


def tables_in(path: Path, limits: ArchiveLimits, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the wanted tables of an archive, in archive order.

    Raises:
        SourceError: The archive is damaged, or a wanted table in it is refused (too large, a link, ...).
    """
    for member in read_members(path, limits, wanted):
        if wanted(member.name):
            if member.problem is not None:
                raise SourceError(f"{path}: the table {member.name} is unusable: {member.problem}")
            yield member.name, member.data
