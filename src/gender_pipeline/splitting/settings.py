"""How photos are split."""

from typing import Literal, Self

from pydantic import Field, model_validator

from gender_pipeline.files import text_digest
from gender_pipeline.schema import SPLITS, Settings


class Shares(Settings):
    """Shares of the photos, above 0 and 1 together.

    Attributes:
        train: Photos a model learns from.
        validation: Photos that choose between models, epochs and thresholds.
        test: Photos that measure the chosen model, once.
    """

    train: float = Field(default=0.7, gt=0, lt=1)
    validation: float = Field(default=0.15, gt=0, lt=1)
    test: float = Field(default=0.15, gt=0, lt=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = sum(self.in_order())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"shares of {', '.join(SPLITS)} must sum to 1, not {total:g}")
        return self

    def in_order(self) -> tuple[float, float, float]:
        """Return the shares in the order of `SPLITS`."""
        return self.train, self.validation, self.test


class SplittingSettings(Settings):
    """What decides on which side a subject is.

    Attributes:
        seed: Draws another split.
        shares: Shares of train, validation and test within each source and class.
        near_duplicate_bits: Photos of which at most so many of 256 hash bits differ count as one subject's. 32 finds
            re-encoded, resized, brightened and by 2 % cropped copies; photos of different persons are at 48 and more
            among 10,000 of CelebA (docs/explanation/splitting.md).
        max_group_share: Largest share of the photos that near-duplicates may join into one group of ten subjects or
            more; above it the joins are taken for false.
        protocol: `official` keeps the sides that data sets publish, `own` ignores them.
        test_fold: With `official`, the fold that is tested where a data set publishes folds; validation is drawn from
            the other folds.
        fallback: With `official`, what to do where a data set lacks one of its published parts: stop, or split that
            data set by the own rule.
    """

    seed: int = 0
    shares: Shares = Shares()
    near_duplicate_bits: int = Field(default=32, ge=0, le=40)
    max_group_share: float = Field(default=0.05, gt=0, le=1)
    protocol: Literal["own", "official"] = "own"
    test_fold: int = Field(default=0, ge=0)
    fallback: Literal["error", "own"] = "error"

    def digest(self) -> str:
        """Return the sha256 that tells whether a previous split was made by the same settings."""
        return text_digest(self.model_dump_json())
