"""Manifests of made-up photos, for tests of splitting."""

from hashlib import sha256

import numpy as np
import pandas as pd


def photo_table(*subjects: tuple[str, str, str, int]) -> pd.DataFrame:
    """Return a manifest with n photos for each (source, subject, label, n); their hashes are far from each other."""
    rows = [
        {
            "source": source,
            "name": f"{subject}/{number}.jpg",
            "subject_id": subject,
            "label": label,
            "official_split": None,
            "image_id": sha256(f"bytes of {source}/{subject}/{number}".encode()).hexdigest(),
            "phash": sha256(f"{source}/{subject}/{number}".encode()).digest(),
        }
        for source, subject, label, n_photos in subjects
        for number in range(n_photos)
    ]
    columns = ["source", "name", "subject_id", "label", "official_split", "image_id", "phash"]
    return pd.DataFrame(rows, columns=columns)


def two_classes(n_subjects: int, *, source: str = "a", n_photos: int = 1, first: int = 0) -> pd.DataFrame:
    """Return a manifest of n subjects, female and male by turns."""
    numbers = range(first, first + n_subjects)
    return photo_table(*((source, f"s{number:04}", ("female", "male")[number % 2], n_photos) for number in numbers))


def flipped(phash: bytes, n_bits: int, seed: int = 0) -> bytes:
    """Return the hash with n different bits flipped."""
    bits = np.unpackbits(np.frombuffer(phash, dtype=np.uint8))
    bits[np.random.default_rng(seed).choice(256, n_bits, replace=False)] ^= 1
    return np.packbits(bits).tobytes()


def make_alike(manifest: pd.DataFrame, row: int, other: int, n_bits: int = 8) -> pd.DataFrame:
    """Return the manifest with the photo in `row` a near-duplicate of the one in `other`."""
    hashes = manifest["phash"].tolist()
    hashes[row] = flipped(hashes[other], n_bits)
    return manifest.assign(phash=pd.Series(hashes, index=manifest.index, dtype=object))
