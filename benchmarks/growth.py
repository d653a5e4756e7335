"""What 1 % new photos cost beside all of them, and what a run costs that finds nothing new.

`python -m benchmarks.growth --make-root FOLDER --share 0.99` makes a raw root with that share of the photos, to measure
whole runs by: first with that folder as raw root, then with the full one.
"""

import argparse
import gzip
import hashlib
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.ingest import REAL_DATA, SOURCES
from gender_pipeline.images.ingest import ingest
from gender_pipeline.images.shards import ShardSettings, ShardStore
from gender_pipeline.sources import SourceSettings, SourcesSettings
from gender_pipeline.sources.archives import is_photo
from gender_pipeline.sources.sample import SampleSettings, draw_sample

DATA_SETS = SourcesSettings(data_sets={source: SourceSettings(reader=source, folder=source) for source in SOURCES})
SHARE = 0.99


def run() -> None:
    """Measure the real photos where there are any, else the drawn sample, and print one line a run."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        root = REAL_DATA if REAL_DATA.is_dir() else folder / "raw"
        if root != REAL_DATA:
            draw_sample(SampleSettings(), root)
        make_root(root, folder / "most", SHARE)
        time.sleep(5)  # files that were written just now are read again, which is no part of what is measured
        print(f"ingest of {root}, and of {SHARE:.0%} of it\n")
        print(f"{'run':26}{'photos':>7}{'seconds':>9}{'of full':>9}{'processor':>11}{'of full':>9}")
        full = _measure("all, into an empty store", root, folder / "full")
        _measure(f"{SHARE:.0%}, into an empty store", folder / "most", folder / "grown", full)
        _measure("the rest is new", root, folder / "grown", full)
        _measure("nothing is new", root, folder / "grown", full)
        same = ShardStore(folder / "grown").manifest().equals(ShardStore(folder / "full").manifest())
    print(f"\nmanifest of the grown store {'equal to' if same else 'OTHER than'} that of the full one")


def make_root(root: Path, folder: Path, share: float) -> None:
    """Write a raw root that lacks some photos of another, archives and tables alike.

    Which photos are left out hangs on their names alone, so that a root of a smaller share holds no other photos.

    Args:
        root: Raw root with `celeba`, `age_gender` and `muct` in their original layouts.
        folder: Where to write; must not exist.
        share: About which share of the photos to keep, in (0, 1].
    """
    folder.mkdir(parents=True)
    for source in SOURCES:
        for path in sorted(path for path in (root / source).iterdir() if path.is_file()):
            target = folder / source / path.name
            target.parent.mkdir(exist_ok=True)
            _COPY[path.suffix](path, target, share)


def _is_kept(photo: str, share: float) -> bool:
    """Decide by the photo's own name: it is all that tables and archives have in common."""
    return int.from_bytes(hashlib.sha256(photo.encode()).digest()[:8]) < share * 2**64


def _copy_zip(path: Path, target: Path, share: float) -> None:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            if _stays(member.filename, share):
                new.writestr(member, old.read(member))


def _copy_tar(path: Path, target: Path, share: float) -> None:
    with (
        tarfile.open(path) as old,
        gzip.GzipFile(target, "wb", 1, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as new,
    ):
        for member in old:
            file = old.extractfile(member)
            if file is None:
                new.addfile(member)
            elif _stays(member.name, share):
                data = _table(member.name, file.read(), share)
                member.size = len(data)
                new.addfile(member, BytesIO(data))


def _copy_table(path: Path, target: Path, share: float) -> None:
    target.write_bytes(_table(path.name, path.read_bytes(), share))


_COPY: dict[str, Callable[[Path, Path, float], None]] = {".zip": _copy_zip, ".gz": _copy_tar, ".txt": _copy_table}


def _stays(member: str, share: float) -> bool:
    return not is_photo(member) or _is_kept(member.rpartition("/")[2], share)


def _table(name: str, data: bytes, share: float) -> bytes:
    """Leave out the rows of photos that are left out, and correct CelebA's count of rows."""
    if not name.endswith(".txt"):
        return data
    lines = data.decode().splitlines()
    photos = [_photo_of(line) for line in lines]
    kept = [line for line, photo in zip(lines, photos, strict=True) if photo is None or _is_kept(photo, share)]
    if lines[0].strip().isdigit():
        kept[0] = str(sum(_photo_of(line) is not None for line in kept))
    return "".join(f"{line}\n" for line in kept).encode()


def _photo_of(line: str) -> str | None:
    """Name the photo that a table's row is about: CelebA's first value; Adience's face and original image."""
    values = line.split("\t")
    if len(values) > 2 and is_photo(values[1]):
        return f"landmark_aligned_face.{values[2]}.{values[1]}"
    first = line.split(maxsplit=1)[0] if line.strip() else ""
    return first if is_photo(first) else None


def _measure(name: str, root: Path, folder: Path, full: tuple[float, float] | None = None) -> tuple[float, float]:
    """Print and return the seconds of an ingest, by the clock and of the processors; the latter bear a busy machine."""
    start = time.perf_counter(), time.process_time()
    store = ingest(folder / "images", root=root, sources=DATA_SETS, settings=ShardSettings())
    clock, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    photos = sum(shard.rows for index in store.indexes.values() for shard in index.shards)
    shares = (clock / full[0], processor / full[1]) if full else (1.0, 1.0)
    print(f"{name:26}{photos:7}{clock:9.2f}{shares[0]:9.1%}{processor:11.2f}{shares[1]:9.1%}")
    return clock, processor


def main(arguments: Iterable[str] | None = None) -> None:
    """Measure, or make a raw root."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--make-root", type=Path, metavar="FOLDER", help="make a raw root here instead of measuring")
    parser.add_argument("--share", type=float, default=SHARE, help="share of the photos it holds (%(default)s)")
    parser.add_argument("--from", dest="root", type=Path, default=REAL_DATA, help="raw root to take them from")
    given = parser.parse_args(arguments)
    if given.make_root:
        make_root(given.root, given.make_root, given.share)
    else:
        run()


if __name__ == "__main__":
    main()
