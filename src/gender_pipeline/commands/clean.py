"""The command that frees what nobody needs any more."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gender_pipeline.commands.project import connect, environments
from gender_pipeline.errors import examples

if TYPE_CHECKING:
    from gender_pipeline.upkeep.clean import Places
    from gender_pipeline.upkeep.plan import Item

_DAY_S = 24 * 60 * 60


@click.command(epilog="Example: gender-pipeline clean --dry-run --keep-days 60")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--keep-days", type=click.IntRange(1), default=30, show_default=True, help="What was used since stays, in days."
)
@click.option("--env", default="", help="Only the caches of this environment, not of all.")
@click.option(
    "--environments",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.cache/gender_pipeline/environments"),
    show_default=True,
    help="Where `reproduce` keeps environments of other lock files.",
)
def clean(dry_run: bool, yes: bool, keep_days: int, *, env: str, folder: Path) -> None:
    """List old caches, artifacts, captures and data that no version needs, and remove them once that is confirmed.

    What a version with an alias or a reproducible version needs stays, and so does all that is newer.
    """
    places, before_s = _places(env, folder.expanduser()), time.time() - keep_days * _DAY_S
    from gender_pipeline.upkeep.clean import no_runs, remove, take_stock
    from gender_pipeline.upkeep.plan import plan

    listed = plan(take_stock(places, before_s), before_s)
    _print(listed)
    if dry_run or not listed:
        return
    if not yes:
        click.confirm("Remove all this?", abort=True)
    with no_runs(places.data_roots):
        # What is needed by now stays, and nothing goes that was not listed.
        still = set(plan(take_stock(places, before_s), before_s))
        items = [item for item in listed if item in still]
        remove(places.project, items)
    click.echo(f"removed {len(items)} items, {_size(sum(item.n_bytes for item in items))}")


def _places(env: str, folder: Path) -> "Places":
    project = connect()
    from gender_pipeline.upkeep.clean import Places

    known = environments(project)
    if env and env not in known:
        raise click.BadParameter(f"there is no {env!r}, only {examples(known, 20)}", param_hint="--env")
    roots = list(dict.fromkeys(it.data_root for it in known.values()))
    names = dict.fromkeys(it.experiment for it in known.values())
    return Places(
        project=project,
        data_roots=roots,
        cleaned=[known[env].data_root] if env else roots,
        environments=folder,
        experiments=[name for own in names for name in (own, f"{own} reproductions")],
    )


def _print(items: "Sequence[Item]") -> None:
    from gender_pipeline.upkeep.plan import totals

    for item in items:
        click.echo(f"{_size(item.n_bytes):>10}  {item.where}  ({item.why})")
    counts = totals(items)
    rows = [(kind, n_items, n_bytes) for kind, (n_items, n_bytes) in counts.items()]
    total = ("total", sum(row[1] for row in rows), sum(row[2] for row in rows))
    for kind, n_items, n_bytes in [*rows, total]:
        click.echo(f"{kind:<16}{n_items:>7} items {_size(n_bytes):>10} {n_bytes:>16,} bytes")


def _size(n_bytes: int) -> str:
    return next(f"{n_bytes / 1000**n:.1f} {unit}" for n, unit in _UNITS if n_bytes < 1000 ** (n + 1))


_UNITS = ((0, "B"), (1, "kB"), (2, "MB"), (3, "GB"), (4, "TB"), (5, "PB"))
