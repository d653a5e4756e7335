"""Near-duplicate photos: an exact search of perceptual hashes, and the groups of subjects it joins."""

from collections.abc import Iterable, Iterator
from itertools import chain, combinations
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gender_pipeline.errors import SplittingError, examples
from gender_pipeline.splitting.settings import SplittingSettings

HASH_BYTES: Final = 32
_BANDS: Final = 16
_BAND_BITS: Final = 16
_CHUNK: Final = 1 << 18  # candidate pairs compared at a time: what fits a processor's cache
_BATCH: Final = 1 << 20  # pairs found before they are joined: 16 MiB
# About 100 s and 30 s on one core; 200,000 photos of faces need a fifth of the first and next to nothing of the second.
_MAX_CANDIDATES: Final = 2_000_000_000
_MAX_PAIRS: Final = 200_000_000
# A photo's hash has 128 bits above the median; far fewer mean that most frequencies are equal, as in a flat picture.
_MIN_BITS_SET: Final = 64
# Fewer subjects in one group are a coincidence of a small data set, not a chain of false joins.
_MIN_GIANT_SUBJECTS: Final = 10


def group_subjects(manifest: pd.DataFrame, settings: SplittingSettings) -> pd.Series:
    """Group photos that must not be divided: those of one subject, and those of subjects with near-duplicate photos.

    Photos are near-duplicates when their bytes are equal or at most `near_duplicate_bits` bits of their perceptual
    hashes differ; hashes of flat pictures tell nothing and are not compared.

    Args:
        manifest: N photos with the columns `image_id, source, subject_id, phash`.
        settings: Uses `near_duplicate_bits` and `max_group_share`.

    Returns:
        N group ids (str) under the manifest's index: the smallest `source/subject_id` of the group, whatever the order
        of the rows.

    Raises:
        SplittingError: When a hash has not 32 bytes, or too many photos look alike.
    """
    codes, subjects = pd.factorize(subject_keys(manifest), sort=True)
    readable = np.flatnonzero(manifest["phash"].notna().to_numpy())
    hashes = hash_array(manifest["phash"].iloc[readable])
    informative = np.unpackbits(hashes, axis=1).sum(axis=1) >= _MIN_BITS_SET
    distinct, hash_of_row = np.unique(hashes[informative], axis=0, return_inverse=True)
    images = pd.factorize(manifest["image_id"].iloc[readable])[0]
    owner, edges = _owners(codes[readable[informative]], hash_of_row.ravel(), len(distinct))
    same_bytes = _owners(codes[readable], images, int(images.max(initial=-1)) + 1)[1]
    near = (owner[pairs] for pairs in near_pairs(distinct, settings.near_duplicate_bits))
    labels = join(len(subjects), chain([edges, same_bytes], near))
    # Subjects are sorted and a component's label is its smallest member, so this is the group's smallest key.
    groups = pd.Series(subjects.to_numpy()[labels[codes]], index=manifest.index, name="group", dtype="str")
    _check_giants(pd.Series(subjects[codes], index=groups.index), groups, settings)
    return groups


def subject_keys(manifest: pd.DataFrame) -> pd.Series:
    """Return `source/subject_id` of each row: subjects of two data sets are never the same by their id alone."""
    return manifest["source"].astype("str") + "/" + manifest["subject_id"].astype("str")


def hash_array(phashes: pd.Series) -> NDArray[np.uint8]:
    """Return N hashes as an array (N, 32) uint8, or raise SplittingError when one has another length."""
    wrong = phashes[phashes.map(len) != HASH_BYTES]
    if len(wrong):
        lengths = examples(sorted(set(wrong.map(len))))
        raise SplittingError("phash cannot be compared", expected=f"{HASH_BYTES} bytes", received=f"{lengths} bytes")
    return np.frombuffer(b"".join(phashes), dtype=np.uint8).reshape(-1, HASH_BYTES)


def near_pairs(hashes: NDArray[np.uint8], max_bits: int) -> Iterator[NDArray[np.intp]]:
    """Find all pairs of hashes of which at most `max_bits` bits differ; a pair may come more than once.

    The 256 bits are cut into 16 bands. By the general pigeonhole principle two hashes within `max_bits` agree in one
    band up to that band's radius, whenever the radii sum to `max_bits - 15`; so only pairs near in a band are compared
    (Norouzi, Punjani, Fleet, "Fast exact search in Hamming space with multi-index hashing", 2014; Qin et al., "GPH",
    2018). Memory is bounded by the number of hashes, not of pairs.

    Args:
        hashes: (N, 32) uint8, best all different.
        max_bits: Largest distance, 0 to 256; the time grows fast above 40.

    Yields:
        Arrays (M, 2) of row numbers, first < second, M > 0.

    Raises:
        SplittingError: When so many hashes are alike that comparing them would take minutes.
    """
    packed = _deal_bits(hashes)
    bands, words = packed.view(np.uint16), packed.view(np.uint64)
    wide, extra = divmod(max_bits - _BANDS + 1, _BANDS)
    n_candidates = n_pairs = 0
    for band in range(_BANDS):
        order = np.argsort(bands[:, band], kind="stable")
        sorted_words = np.ascontiguousarray(words[order])
        for first, starts, counts in _partners(bands[order, band], wide + (band < extra)):
            n_candidates += int(counts.sum())
            _check_work(n_candidates, n_pairs, len(hashes))
            for pairs in _compare(sorted_words, first, starts, counts, max_bits=max_bits):
                n_pairs += len(pairs)
                _check_work(n_candidates, n_pairs, len(hashes))
                yield np.sort(order[pairs], axis=1)


def _check_work(n_candidates: int, n_pairs: int, n_hashes: int) -> None:
    """Raise before a search among too similar hashes takes many minutes."""
    if n_candidates > _MAX_CANDIDATES or n_pairs > _MAX_PAIRS:
        raise SplittingError(
            f"too many pairs among {n_hashes:,} photos look alike to compare them all",
            remedy="quarantine equal-looking pictures or lower near_duplicate_bits",
        )


def join(n_items: int, edges: Iterable[NDArray[np.intp]]) -> NDArray[np.intp]:
    """Return the smallest member's number of each item's component (N,), in a graph of edges in arrays (M, 2)."""
    labels = np.arange(n_items)
    waiting, n_waiting = [], 0
    for batch in edges:
        waiting.append(batch)
        n_waiting += len(batch)
        if n_waiting > _BATCH:
            labels = _joined(labels, waiting)
            waiting, n_waiting = [], 0
    return _joined(labels, waiting) if waiting else labels


def _joined(labels: NDArray[np.intp], edges: list[NDArray[np.intp]]) -> NDArray[np.intp]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.concatenate([np.column_stack([np.arange(len(labels)), labels]), *edges])
    graph = coo_array((np.ones(len(ends), dtype=np.int32), tuple(ends.T)), shape=(len(labels), len(labels)))
    component: NDArray[np.intp] = connected_components(graph, directed=False)[1]
    return np.asarray(np.unique(component, return_index=True)[1][component])


def _owners(
    subjects: NDArray[np.intp], items: NDArray[np.intp], n_items: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return one subject for each item (hash or image), and the edges (M, 2) from it to the item's other subjects."""
    owner = np.zeros(n_items, dtype=np.intp)
    owner[items] = subjects
    return owner, np.unique(np.column_stack([owner[items], subjects]), axis=0)


def _deal_bits(hashes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reorder the bits so that every band gets its share of those that tell faces apart; distances stay the same.

    In aligned faces the low frequencies hardly vary, and a band of such bits alone would put all photos in one bucket.
    """
    bits = np.unpackbits(hashes, axis=1)
    most_telling_first = np.argsort(np.abs(bits.mean(axis=0) - 0.5), kind="stable") if len(bits) else np.arange(256)
    dealt = np.packbits(bits[:, most_telling_first.reshape(_BAND_BITS, _BANDS).T.ravel()], axis=1)
    return np.ascontiguousarray(dealt)


def _partners(
    keys: NDArray[np.uint16], radius: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]:
    """For sorted keys (N,) yield which rows have which run of later rows whose key differs in at most `radius` bits.

    Yields:
        Row numbers, the first row of each one's run and the run's length, (M,) each; one triple for each way to differ.
    """
    sizes = np.bincount(keys, minlength=1 << _BAND_BITS)
    ends = np.cumsum(sizes)
    rows = np.arange(len(keys))
    if radius >= 0:
        yield rows, rows + 1, ends[keys] - rows - 1
    for n_bits in range(1, radius + 1):
        for places in combinations(range(_BAND_BITS), n_bits):
            other = keys ^ np.uint16(sum(1 << place for place in places))
            first = np.flatnonzero((keys < other) & (sizes[other] > 0))  # each pair from its smaller key only
            yield first, (ends - sizes)[other[first]], sizes[other[first]]


def _compare(
    words: NDArray[np.uint64],
    first: NDArray[np.intp],
    starts: NDArray[np.intp],
    counts: NDArray[np.intp],
    *,
    max_bits: int,
) -> Iterator[NDArray[np.intp]]:
    """Yield the pairs (M, 2) of hashes (N, 4 words) within `max_bits`, of rows `first` with their runs of rows."""
    sums = np.cumsum(counts)
    begin = done = 0
    while begin < len(first) and done < sums[-1]:
        end = max(begin + 1, int(np.searchsorted(sums, done + _CHUNK, side="right")))
        run = counts[begin:end]
        left = np.repeat(first[begin:end], run)
        right = np.repeat(starts[begin:end] - (sums[begin:end] - run), run) + np.arange(done, sums[end - 1])
        # Half of a hash rules out nearly all pairs.
        for half in (slice(0, 2), slice(0, 4)):
            differ = np.bitwise_count(words[left, half] ^ words[right, half]).sum(axis=1, dtype=np.uint16)
            left, right = left[differ <= max_bits], right[differ <= max_bits]
        if len(left):
            yield np.column_stack([left, right])
        begin, done = end, sums[end - 1]


def _check_giants(subjects: pd.Series, groups: pd.Series, settings: SplittingSettings) -> None:
    """Raise when near-duplicates chain many subjects into one group: then the threshold is too wide for this data."""
    sizes = pd.DataFrame({"subject": subjects, "group": groups}).groupby("group")["subject"].agg(["size", "nunique"])
    giant = sizes[(sizes["nunique"] >= _MIN_GIANT_SUBJECTS) & (sizes["size"] > settings.max_group_share * len(groups))]
    if len(giant):
        photos, n_subjects = giant.sort_values("size").iloc[-1]
        raise SplittingError(
            f"near-duplicates join {photos} of {len(groups)} photos ({n_subjects} subjects) into one group",
            expected=f"at most {settings.max_group_share:.0%} of the photos in a group",
            remedy=f"lower near_duplicate_bits (now {settings.near_duplicate_bits}) or quarantine equal-looking photos",
        )
