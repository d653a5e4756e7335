"""Near-duplicate search among 200,000 perceptual hashes: the banded search against comparing all with all."""

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gender_pipeline.errors import SplittingError
from gender_pipeline.splitting.duplicates import near_pairs

N_HASHES, N_COPIES, N_BRUTE = 200_000, 2_000, 1_000
MAX_BITS = 32


def run() -> None:
    """Measure hashes that are distributed like faces', then the worst inputs, and print one line each."""
    hashes = _like_faces(N_HASHES)
    hashes[-N_COPIES:] = _flip(hashes[:N_COPIES], MAX_BITS)
    banded, found = _seconds(lambda: sum(len(pairs) for pairs in near_pairs(hashes, MAX_BITS)))
    brute, _ = _seconds(lambda: _compare_with_all(hashes[:N_BRUTE], hashes))
    brute *= N_HASHES / N_BRUTE / 2  # each pair once
    print(f"{N_HASHES:,} hashes with {N_COPIES:,} copies, {MAX_BITS} of 256 bits: {banded:.0f} s, {found:,} pairs")
    print(f"all with all, from {N_BRUTE:,} rows: {brute:.0f} s, {brute / banded:.0f} times as long")
    for n_alike in (3_000, 100_000):
        alike = _flip(np.repeat(hashes[:1], n_alike, axis=0), 12)
        seconds, result = _seconds(lambda alike=alike: _outcome(alike))
        print(f"{n_alike:,} hashes within 24 bits of each other: {seconds:.0f} s, {result}")
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(f"peak memory: {peak_mib:.0f} MiB")


def _like_faces(n_hashes: int) -> NDArray[np.uint8]:
    """Return hashes (N, 32) whose distances are spread as CelebA's: mean 120 bits, standard deviation 10."""
    rng = np.random.default_rng(0)
    common, mixing = rng.normal(size=256), rng.normal(size=(12, 256))
    parts = []
    for _ in range(n_hashes // 10_000):
        own = rng.normal(size=(10_000, 256))
        bits = 0.42 * common + 0.14 * rng.normal(size=(10_000, 12)) @ mixing + own > 0
        parts.append(np.packbits(bits, axis=1))
    return np.concatenate(parts)


def _flip(hashes: NDArray[np.uint8], n_bits: int) -> NDArray[np.uint8]:
    places = np.random.default_rng(1).random((len(hashes), 256)).argpartition(n_bits, axis=1)[:, :n_bits]
    flips = np.zeros((len(hashes), 256), dtype=np.uint8)
    np.put_along_axis(flips, places, 1, axis=1)
    return hashes ^ np.packbits(flips, axis=1)


def _compare_with_all(some: NDArray[np.uint8], hashes: NDArray[np.uint8]) -> int:
    words = np.ascontiguousarray(hashes.view(np.uint64).T)
    return sum(
        int((sum(np.bitwise_count(column ^ word) for column, word in zip(words, row, strict=True)) <= MAX_BITS).sum())
        for row in some.view(np.uint64)
    )


def _outcome(hashes: NDArray[np.uint8]) -> str:
    try:
        return f"{sum(len(pairs) for pairs in near_pairs(hashes, MAX_BITS)):,} pairs, some more than once"
    except SplittingError as error:
        return f"refused: {error}"


def _seconds(call: Callable[[], object]) -> tuple[float, object]:
    """Return the processor seconds (one core) of a call, and its result."""
    start = time.process_time()
    result = call()
    return time.process_time() - start, result
