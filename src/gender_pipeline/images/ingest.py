"""From raw archives to a shard folder; what has not changed is neither read nor written."""

from functools import partial
from pathlib import Path

from gender_pipeline.images.shards import ShardSettings, ShardStore, SourcePhotos, update_shards
from gender_pipeline.sources import SourcesSettings, known_digests, read_photos, source_digest


def ingest(folder: Path, *, root: Path, sources: SourcesSettings, settings: ShardSettings) -> ShardStore:
    """Bring a shard folder up to date with raw archives.

    Args:
        folder: The store. The digests of raw files are kept beside it in `.<name>-files.json`, not in it: the store's
            own files hang on the photos alone, so that DVC sees nothing new where a file was only touched.
        root: Raw root, the folder that holds the data sets.
        sources: Which data sets.
        settings: How photos are checked and stored.

    Returns:
        A read handle of the new state.

    Raises:
        SourceError: The root or a data set is missing or damaged.
    """
    with known_digests(folder.with_name(f".{folder.name}-files.json")) as digest_of:
        photos = {
            name: SourcePhotos(source_digest(root, data_set, digest_of), partial(read_photos, root, data_set))
            for name, data_set in sources.data_sets.items()
        }
    return update_shards(folder, photos, settings)
