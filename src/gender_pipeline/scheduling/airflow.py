"""A DAG file for Airflow. kedro-airflow fills our template, for its own one starts a Kedro session a node."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gender_pipeline.scheduling.entries import Entry, mark
from gender_pipeline.scheduling.marked_files import remove_marked, write_marked

TEMPLATE: Final = Path(__file__).with_name("dag.py.j2")


@dataclass(frozen=True)
class DagFolder:
    """Airflow's folder of DAGs, with one file an entry.

    Attributes:
        folder: Where Airflow looks for DAGs.
        fill: Makes a DAG file's text of the values for the template.
    """

    folder: Path
    fill: Callable[[dict[str, str]], str]

    def text(self, entry: Entry) -> str:
        """Return the DAG file."""
        return self.fill(dag_values(entry))

    def install(self, entry: Entry) -> str:
        """Write the DAG file; return what was done.

        Raises:
            ScheduleError: A file of that name is there and not ours.
        """
        write_marked(self._path(entry.name), self.text(entry))
        return f"written to {self._path(entry.name)}; try it with `airflow dags test {entry.name}`, then unpause it"

    def remove(self, name: str) -> bool:
        """Remove the DAG file of a name, and tell whether it was there."""
        return remove_marked(self._path(name), mark(name))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.py"


def dag_values(entry: Entry) -> dict[str, str]:
    """Return what the template needs, each value as it stands in Python source.

    The command ends with a blank, because Airflow takes one that ends in `.sh` for the name of a file.
    """
    variables = {name: _literal(value) for name, value in entry.environment.items()}
    return {
        "mark": entry.mark,
        "name": repr(entry.name),
        "at": repr(entry.at),
        "command": repr(f"exec {_literal(shlex.join(entry.command))} "),
        "folder": repr(_literal(str(entry.project))),
        "variables": repr(variables),
    }


def _literal(text: str) -> str:
    """Keep Airflow, which renders these texts with Jinja, from reading braces in them."""
    return text.replace("{", "{{ '{' }}")
