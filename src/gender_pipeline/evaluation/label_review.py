"""Which labels are likely wrong: out-of-fold predictions, cleanlab's confident learning, and a page to decide on.

A model that never saw a photo's subject predicts its label; where it is sure of another class, a person should look
(Northcutt et al., Confident Learning, 2021, arXiv:1911.00068). The model is a logistic regression on frozen features,
so that the review costs seconds once the features are cached.
"""

import logging
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib import resources
from io import BytesIO
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from gender_pipeline.errors import EvaluationError, examples
from gender_pipeline.images.decode import load_image, to_rgb
from gender_pipeline.recipes import Recipe
from gender_pipeline.schema import EXCLUDED, Settings
from gender_pipeline.training import FeatureCache, ImageSource
from gender_pipeline.zoo import build_backbone, get_spec

FACTS: Final = ("image_id", "source", "name", "subject_id", "group", "label", "publishable")
SUSPECT_COLUMNS: Final = (
    "accept", "quality", "label", "suggested_label", "p_label", "p_suggested", "others_of_subject", "others_disagree",
    "source", "name", "subject_id", "publishable", "image_id",
)  # fmt: skip
_log = logging.getLogger(__name__)


class LabelReviewSettings(Settings):
    """How suspected labels are found and shown.

    Attributes:
        n_folds: Parts of the subjects; each is predicted by a model of all the others.
        regularization: Inverse strength of the logistic regression's penalty (scikit-learn's C); small values trust
            the labels less.
        seed: Of the folds.
        max_shown: Most photos on the page, the most suspicious ones; the table holds all.
        thumbnail_px: Longer side of a photo on the page, in pixels.
        show_unpublishable: Whether the page shows photos that must not be published; it is a local file either way.
    """

    n_folds: int = Field(default=5, ge=2, le=50)
    regularization: float = Field(default=0.001, gt=0, le=1000)
    seed: int = Field(default=0, ge=0, lt=2**32)
    max_shown: int = Field(default=400, ge=1, le=10_000)
    thumbnail_px: int = Field(default=160, ge=32, le=512)
    show_unpublishable: bool = False


def predict_out_of_fold(
    split_manifest: pd.DataFrame,
    recipe: Recipe,
    class_names: Sequence[str],
    *,
    images: ImageSource,
    cache: FeatureCache,
    settings: LabelReviewSettings,
) -> pd.DataFrame:
    """Predict every used photo by a model that saw no photo of its group.

    Args:
        split_manifest: One row a photo with the columns `FACTS` and `split`; all splits but `excluded` are used, for a
            wrong label in the test part costs as much as one in the train part.
        recipe: Names the backbone, its weights and the image size.
        class_names: The k classes.
        images: Gives the bytes of photos whose features are not cached.
        cache: Of the features; that of a training with a frozen backbone has them already.
        settings: Folds and regularization.

    Returns:
        One row a used photo: the columns `FACTS`, and `p_<class>` in [0, 1] for each class, summing to 1.

    Raises:
        EvaluationError: A label is none of the classes, a class has no photo, or there are fewer groups than folds.
    """
    import keras

    used = split_manifest[split_manifest["split"] != EXCLUDED].reset_index(drop=True)
    labels = _codes(used["label"], class_names)
    keras.utils.set_random_seed(recipe.seed)  # for weights `none`
    backbone = build_backbone(get_spec(recipe.backbone), recipe.image_size_px, recipe.weights)
    features = cache.features(backbone, recipe.image_size_px, list(used["image_id"]), images)
    probabilities = _out_of_fold(features.rows(np.arange(len(used))), labels, used["group"], settings)
    columns = {f"p_{name}": probabilities[:, place] for place, name in enumerate(class_names)}
    return used[list(FACTS)].assign(**columns)


def find_suspects(predictions: pd.DataFrame, class_names: Sequence[str]) -> pd.DataFrame:
    """Find the photos whose label is likely wrong.

    Args:
        predictions: What `predict_out_of_fold` gave.
        class_names: The k classes.

    Returns:
        The table of `SUSPECT_COLUMNS`, the most suspicious photo first. `quality` in [0, 1] is cleanlab's score, low
        where the label is doubtful: p_label, corrected for how sure the model is of that class on the whole.
        `others_of_subject` counts the subject's other photos and `others_disagree` those labelled otherwise: where
        most do, this one is likely wrong; where none does, all of them may be. `accept` is empty, to be filled in.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    labels = _codes(predictions["label"], class_names)
    probabilities = predictions[[f"p_{name}" for name in class_names]].to_numpy(np.float64)
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -1
    suggested = others.argmax(axis=1)
    # As many as the confident joint estimates to be wrong; one process, for others would import TensorFlow again.
    is_issue = find_label_issues(labels, probabilities, n_jobs=1)
    quality = get_label_quality_scores(labels, probabilities, method="self_confidence", adjust_pred_probs=True)
    group = predictions.groupby("group")["image_id"].transform("size")
    alike = predictions.groupby(["group", "label"])["image_id"].transform("size")
    table = predictions.assign(
        accept="",
        quality=quality.round(4),
        suggested_label=np.array(class_names, dtype=object)[suggested],
        p_label=probabilities[np.arange(len(labels)), labels].round(4),
        p_suggested=others.max(axis=1).round(4),
        others_of_subject=group - 1,
        others_disagree=group - alike,
    )
    suspects: pd.DataFrame = table[is_issue].sort_values(["quality", "image_id"])
    _log.info("%d of %d labels are suspected to be wrong", len(suspects), len(table))
    return suspects[list(SUSPECT_COLUMNS)].reset_index(drop=True)


def write_review_page(suspects: pd.DataFrame, images: ImageSource, settings: LabelReviewSettings) -> str:
    """Write the contact sheet: the suspects as pictures, each with two boxes to tick.

    Args:
        suspects: What `find_suspects` gave; the first `max_shown` are on the page.
        images: Gives the bytes of the photos that may be shown, and is asked for no others.
        settings: What is shown, and how large.

    Returns:
        An HTML page that needs nothing from outside. What is ticked stands as CSV at its end, to be saved for
        `gender-pipeline accept-corrections`. Photos that must not be shown are grey tiles with their name.
    """
    from jinja2 import Environment, StrictUndefined

    shown = suspects.head(settings.max_shown)
    # Bytes of the others are not even read, so that no slip of the template can show them.
    visible = shown["image_id"] if settings.show_unpublishable else shown["image_id"][shown["publishable"]]
    pictures = {key: _thumbnail(data, settings.thumbnail_px) for key, data in images.images(list(visible))}
    folder = resources.files("gender_pipeline.evaluation")
    script = folder.joinpath("label_review.js").read_text(encoding="utf-8")
    source = folder.joinpath("label_review.html.j2").read_text(encoding="utf-8")
    return (
        Environment(autoescape=True, undefined=StrictUndefined)
        .from_string(source)
        .render(
            suspects=shown.to_dict("records"),
            total=len(suspects),
            pictures=pictures,
            size_px=settings.thumbnail_px,
            script=script,
            # The page runs this one script and no other, whatever a name from an archive holds.
            script_digest=b64encode(sha256(script.encode()).digest()).decode(),
        )
    )


def _codes(labels: "pd.Series[str]", class_names: Sequence[str]) -> NDArray[np.int64]:
    """Give each label's place among the classes, (N,) int64; every class must occur."""
    codes = pd.Categorical(labels, categories=list(class_names)).codes.astype(np.int64)
    found = sorted(set(labels))
    if (codes < 0).any() or len(found) < len(class_names):
        raise EvaluationError(
            "labels cannot be reviewed",
            expected=f"photos of each of {', '.join(class_names)}, and of no other class",
            received=f"photos of {examples(found)}" if found else "no photo",
            remedy="review the labels after the splitting chapter",
        )
    return codes


def _out_of_fold(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: "pd.Series[str]", settings: LabelReviewSettings
) -> NDArray[np.float64]:
    """Predict (N, F) features in folds that share no group: (N, k) probabilities."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fewest = int(pd.Series(np.asarray(groups)).groupby(labels).nunique().min())
    if fewest < settings.n_folds:
        raise EvaluationError(
            "there are too few subjects for a review",
            expected=f"at least {settings.n_folds} of each class, one a fold",
            received=str(fewest),
            remedy="lower label_review.n_folds, or add photos",
        )
    # Groups, not photos: a model that saw a subject under a wrong label would repeat it.
    folds = StratifiedGroupKFold(settings.n_folds, shuffle=True, random_state=settings.seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=settings.regularization, max_iter=500))
    return np.asarray(cross_val_predict(model, features, labels, groups=groups, cv=folds, method="predict_proba"))


def _thumbnail(data: bytes, size_px: int) -> str:
    """Scale a photo down and encode it as a JPEG data URI."""
    image = to_rgb(load_image(data))
    image.thumbnail((size_px, size_px))
    file = BytesIO()
    image.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode()}"
