"""Predictions tables of made-up photos, for tests of evaluation."""

import numpy as np
import pandas as pd

from gender_pipeline.evaluation import predictions_table

GENDERS = ("female", "male")


def split_photos(labels: list[str], *, source: str = "a", split: str = "test", photos_each: int = 1) -> pd.DataFrame:
    """Return a split manifest with one photo for each label; each so many photos in a row are of one subject."""
    subjects = [f"{source}{split}{number // photos_each}" for number in range(len(labels))]
    return pd.DataFrame(
        {
            "image_id": [f"{source}/{split}/{number}" for number in range(len(labels))],
            "source": source,
            "name": [f"{number}.jpg" for number in range(len(labels))],
            "subject_id": subjects,
            "group": subjects,
            "split": split,
            "label": labels,
            "publishable": False,
        }
    )


def predicted_photos(labels: list[str], p_male: list[float], **photos: object) -> pd.DataFrame:
    """Return a predictions table of two classes from the labels and the probabilities of `male`."""
    p_class = np.stack([1 - np.array(p_male), p_male], axis=1)
    return predictions_table(split_photos(labels, **photos), GENDERS, p_class)


def random_predictions(
    n_photos: int, class_names: tuple[str, ...] = GENDERS, *, seed: int = 0, **photos: object
) -> pd.DataFrame:
    """Return a predictions table of a classifier which is right more often than not."""
    random = np.random.default_rng(seed)
    codes = random.integers(len(class_names), size=n_photos)
    scores = random.exponential(size=(n_photos, len(class_names)))
    scores[np.arange(n_photos), codes] += 1
    labels = [class_names[code] for code in codes]
    return predictions_table(split_photos(labels, **photos), class_names, scores / scores.sum(axis=1, keepdims=True))
