"""Files and folders on the local disk, written atomically."""

import json
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset

from gender_pipeline.files import atomic_path, write_folder, write_text

_READ: Mapping[str, Callable[..., Any]] = {
    ".parquet": pd.read_parquet,
    ".csv": pd.read_csv,
    ".json": lambda path: json.loads(path.read_text("utf-8")),
    ".html": lambda path: path.read_text("utf-8"),
    ".md": lambda path: path.read_text("utf-8"),
}


class FileDataset(AbstractDataset[Any, Any]):
    """One file; its suffix says the format: a table (`.parquet`, `.csv`), JSON, or text (`.html`, `.md`).

    Args:
        filepath: Where the file is.
        optional: Whether a missing file loads as None instead of failing.
        load_args: Arguments for pandas' reader of tables.
        metadata: Free-form; `mlflow` names the artifact folder the file is logged to.
    """

    def __init__(
        self,
        *,
        filepath: str,
        optional: bool = False,
        load_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.path = Path(filepath)
        self.optional = optional
        self.load_args = load_args or {}
        self.metadata = metadata or {}

    def load(self) -> Any:
        """Read the file, or return None where it is optional and missing."""
        if self.optional and not self.path.exists():
            return None
        return _READ[self.path.suffix](self.path, **self.load_args)

    def save(self, data: Any) -> None:
        """Write the file under a temporary name, then rename it."""
        if self.path.suffix == ".parquet":
            with atomic_path(self.path) as temporary:
                data.to_parquet(temporary, index=False)
        elif self.path.suffix == ".csv":
            text = StringIO()
            data.to_csv(text, index=False)
            write_text(self.path, text.getvalue())
        else:
            as_json = self.path.suffix == ".json"
            write_text(self.path, json.dumps(data, indent=1, allow_nan=False) + "\n" if as_json else data)

    def _exists(self) -> bool:
        return self.optional or self.path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.path)}


class FolderDataset(AbstractDataset[Any, Any]):
    """One folder that a library function reads and its producer writes.

    What is saved is a mapping of relative path to bytes, an object with `save(folder)`, or a function that is called
    with the folder.

    Args:
        filepath: Where the folder is.
        reader: Name (`module:function`) of the function that is called with the folder's path on load.
        reader_args: Further arguments for it.
        keep: Whether what was read is kept until no further node of the run needs it, instead of read for each.
        metadata: Free-form; `mlflow` names the artifact folder the content is logged to.
    """

    def __init__(
        self,
        *,
        filepath: str,
        reader: str = "pathlib:Path",
        reader_args: dict[str, Any] | None = None,
        keep: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.path = Path(filepath)
        self.reader = reader
        self.reader_args = reader_args or {}
        self.keep = keep
        self.metadata = metadata or {}
        self._kept: Any = None

    def load(self) -> Any:
        """Call the reader with the folder's path, unless what it gave was kept."""
        if self._kept is not None:
            return self._kept
        data = resolve_name(self.reader)(self.path, **self.reader_args)
        self._kept = data if self.keep else None
        return data

    def save(self, data: Any) -> None:
        """Let the data write itself to the folder; what was kept of an earlier one is dropped."""
        self._release()
        if isinstance(data, Mapping):
            write_folder(self.path, data)
        elif hasattr(data, "save"):
            data.save(self.path)
        else:
            data(self.path)

    def _release(self) -> None:
        self._kept = None

    def _exists(self) -> bool:
        return self.path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.path), "reader": self.reader}
