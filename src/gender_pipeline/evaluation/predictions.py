"""The predictions table: what a model said of every photo, beside what the data set says."""

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gender_pipeline.errors import EvaluationError, examples
from gender_pipeline.evaluation.metrics import Answers

CLASS_PREFIX: Final = "p_"
PHOTO_COLUMNS: Final = ("image_id", "source", "name", "subject_id", "group", "split", "label")
# Networks that compute in bfloat16 give probabilities whose sum is off by some thousandths.
SUM_TOLERANCE: Final = 0.01


def predictions_table(
    split_manifest: pd.DataFrame, class_names: Sequence[str], probabilities: NDArray[np.floating]
) -> pd.DataFrame:
    """Build the predictions table.

    Args:
        split_manifest: N photos with the columns `image_id, source, name, subject_id, group, split, label`.
        class_names: The k >= 2 classes in the order of the network's output; for two classes the last is class 1,
            the positive one (`("female", "male")`).
        probabilities: (N, k) floats in [0, 1], row i for row i of the manifest, each row sums to 1.

    Returns:
        Those columns, then `predicted` (the most probable class; of equally probable ones the first), `probability`
        (that class' probability) and `p_<class>` for each class in order, float32. Rows in the manifest's order.

    Raises:
        EvaluationError: The probabilities fit neither the photos nor the classes, or are not probabilities.
    """
    expected = (len(split_manifest), len(class_names))
    if len(class_names) < 2 or probabilities.shape != expected:
        raise EvaluationError(
            "the probabilities do not fit the photos and classes",
            expected=f"shape {expected} with at least two classes",
            received=f"shape {probabilities.shape} for the classes {examples(class_names)}",
        )
    p_class = probabilities.astype(np.float32)
    _check_probabilities(p_class)
    predicted = p_class.argmax(axis=1)
    return (
        split_manifest.loc[:, list(PHOTO_COLUMNS)]
        .reset_index(drop=True)
        .assign(
            predicted=np.array(class_names, dtype=object)[predicted],
            probability=p_class.max(axis=1),
            **{f"{CLASS_PREFIX}{name}": p_class[:, code] for code, name in enumerate(class_names)},
        )
        .astype({"predicted": "str"})
    )


def class_names_of(predictions: pd.DataFrame) -> tuple[str, ...]:
    """Return the classes of a predictions table in order of its `p_<class>` columns; of two the last is class 1."""
    return tuple(column.removeprefix(CLASS_PREFIX) for column in predictions.columns if column.startswith(CLASS_PREFIX))


def predictions_digest(predictions: pd.DataFrame) -> str:
    """Return the sha256 over image_id, label and the bits of all probabilities (N, k); the rows' order is no part."""
    columns = [CLASS_PREFIX + name for name in class_names_of(predictions)]
    rows = predictions[["image_id", "source", "name", "label", *columns]].sort_values(["image_id", "source", "name"])
    digest = hashlib.sha256("\0".join(columns).encode())
    for column in ("image_id", "label"):
        digest.update("\0".join(["", *rows[column].astype("str")]).encode())
    digest.update(np.ascontiguousarray(rows[columns].to_numpy(dtype="<f4")).tobytes())
    return digest.hexdigest()


def read_answers(predictions: pd.DataFrame) -> Answers:
    """Turn a predictions table of N photos and k classes into class codes and probabilities.

    Returns:
        Codes (N,) of the labels and of the predicted classes, and the probabilities (N, k), columns in class order.

    Raises:
        EvaluationError: A column is missing, a label is none of the classes, or a row holds no probabilities.
    """
    missing = {*PHOTO_COLUMNS, "predicted"} - set(predictions.columns)
    class_names = class_names_of(predictions)
    if missing or len(class_names) < 2:
        raise EvaluationError(
            "the predictions table lacks columns",
            expected=f"{', '.join(PHOTO_COLUMNS)}, predicted and p_<class> for at least two classes",
            received=examples(predictions.columns, limit=20),
        )
    probabilities = predictions[[CLASS_PREFIX + name for name in class_names]].to_numpy(dtype=np.float64)
    _check_probabilities(probabilities)
    return Answers(
        truth=_codes(predictions["label"], class_names),
        predicted=_codes(predictions["predicted"], class_names),
        probabilities=probabilities,
    )


def _codes(labels: "pd.Series[str]", class_names: tuple[str, ...]) -> NDArray[np.int64]:
    codes = pd.Index(class_names).get_indexer(pd.Index(labels)).astype(np.int64)
    if (codes < 0).any():
        raise EvaluationError(
            f"the column {labels.name} holds labels which are no class of the model",
            expected=examples(class_names),
            received=examples(labels[codes < 0].unique()),
            remedy="quarantine those photos or train a model which knows the class",
        )
    return codes


def _check_probabilities(probabilities: NDArray[np.floating]) -> None:
    good = np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE
    good &= (probabilities >= 0).all(axis=1) & (probabilities <= 1).all(axis=1)
    if not good.all():
        raise EvaluationError(
            f"{np.count_nonzero(~good)} of {len(good)} photos have no valid probabilities",
            expected="finite values in [0, 1] whose sum over the classes is 1",
            received=examples(probabilities[~good].tolist(), limit=2),
        )
