"""Pictures of a model's answers and of its training, as PNG bytes that depend on their input alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gender_pipeline.evaluation.figures import COLOURS, FAINT, INK, new_figure, png_bytes, short_label
from gender_pipeline.evaluation.metrics import CALIBRATION_BINS, Answers, FloatArray, calibration_bins
from gender_pipeline.evaluation.predictions import class_names_of, read_answers
from gender_pipeline.evaluation.slices import OVERALL, Metrics, Slice, interval_text
from gender_pipeline.schema import TEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED_CLASSES: Final = 12  # more do not fit beside a matrix or into a legend
UNIT_LIMITS: Final = (-0.02, 1.02)  # a line along the edge stays visible

LegendPlace: TypeAlias = Literal["best", "lower left", "lower right", "upper left"]


@dataclass(frozen=True, slots=True)
class MeasuredSplit:
    """One split's answers with its metrics: what a picture is drawn of.

    Attributes:
        split: Name of the split.
        answers: Its N photos.
        class_names: k names; for two classes the last is class 1.
        slices: The split's part of the metrics: `all` and one slice a source.
    """

    split: str
    answers: Answers
    class_names: tuple[str, ...]
    slices: dict[str, Slice]

    @property
    def subtitle(self) -> str:
        """The split and its size, for the line below a picture's title."""
        overall = self.slices[OVERALL]
        return f"{self.split} split, {overall['photos']:,} photos of {overall['subjects']:,} subjects"

    def text(self, metric: str) -> str:
        """The overall value of a metric with its interval, as text."""
        return interval_text(self.slices[OVERALL]["metrics"][metric])

    def one_against_rest(self) -> Iterator[tuple[str, NDArray[np.bool_], FloatArray]]:
        """Yield (name, whether a photo is of the class (N,), the class' probability (N,)) for each class with a curve.

        That is class 1 of two, all of more, and none which is the only one among the photos or missing there.
        """
        for code, name in enumerate(self.class_names):
            positive = self.answers.truth == code
            if (code > 0 or len(self.class_names) > 2) and 0 < positive.sum() < len(positive):
                yield name, positive, self.answers.probabilities[:, code]


def draw_pictures(predictions: pd.DataFrame, metrics: Metrics, history: pd.DataFrame) -> dict[str, bytes]:
    """Draw the answers to the test photos (without any: to the last split measured) and the training.

    Args:
        predictions: The predictions table.
        metrics: What `measure` made of it.
        history: One row an epoch: `epoch, loss, accuracy, val_loss, val_accuracy`; NaN where not measured.

    Returns:
        PNG bytes by file name. The same input gives the same bytes under the same matplotlib.
    """
    split = TEST if TEST in metrics else list(metrics)[-1]
    photos = predictions[predictions["split"] == split]
    measured = MeasuredSplit(split, read_answers(photos), class_names_of(predictions), metrics[split])
    painters: dict[str, Callable[[MeasuredSplit], Figure]] = {
        "confusion_matrix.png": draw_confusion_matrix,
        "roc_curve.png": draw_roc_curve,
        "precision_recall_curve.png": draw_precision_recall_curve,
        "calibration.png": draw_calibration,
        "accuracy_by_source.png": draw_accuracy_by_source,
    }
    pictures = {name: png_bytes(draw(measured)) for name, draw in painters.items()}
    return pictures if history.empty else {**pictures, "history.png": png_bytes(draw_history(history))}


def draw_confusion_matrix(measured: MeasuredSplit) -> "Figure":
    """Draw counts, and each one's share of its row: of the photos with that label."""
    n_classes = len(measured.class_names)
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (measured.answers.truth, measured.answers.predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(3.4 + 0.75 * n_classes, 9.0)
    figure, axes = new_figure("Confusion matrix", measured.subtitle, size=(side + 0.6, side))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="Predicted", ylabel="Label")
    axes.grid(visible=False)
    if n_classes <= MAX_NAMED_CLASSES:
        names = [short_label(name) for name in measured.class_names]
        axes.set_xticks(range(n_classes), names, rotation=0 if n_classes < 5 else 45)
        axes.set_yticks(range(n_classes), names)
        for (row, column), share in np.ndenumerate(shares):
            # White on the dark half of the blues, dark on the light one.
            colour = "white" if share > 0.55 else INK
            text = f"{counts[row, column]:,}\n{share:.1%}"
            axes.text(column, row, text, ha="center", va="center", color=colour, size=12 if n_classes < 5 else 7)
    return figure


def draw_roc_curve(measured: MeasuredSplit) -> "Figure":
    """Draw the ROC curve of class 1, or of each of more than two classes against the rest."""
    from sklearn.metrics import auc, roc_curve

    figure, axes = new_figure("ROC curve", f"{measured.subtitle}\nROC AUC {measured.text('roc_auc')}")
    axes.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="chance")
    for number, (name, positive, scores) in enumerate(measured.one_against_rest()):
        false_positive, true_positive, _ = roc_curve(positive, scores)
        label = f"AUC {auc(false_positive, true_positive):.3f}, {short_label(name)}"
        axes.plot(false_positive, true_positive, label=label, **_line(number, measured))
    axes.set(
        xlabel="False positive rate", ylabel="True positive rate", aspect="equal", xlim=UNIT_LIMITS, ylim=UNIT_LIMITS
    )
    return _with_legend(figure, axes, place="lower right")


def draw_precision_recall_curve(measured: MeasuredSplit) -> "Figure":
    """Draw the precision-recall curve of class 1, or of each of more than two classes against the rest."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, axes = new_figure("Precision and recall", measured.subtitle)
    for number, (name, positive, scores) in enumerate(measured.one_against_rest()):
        precision, recall, _ = precision_recall_curve(positive, scores)
        label = f"average precision {average_precision_score(positive, scores):.3f}, {short_label(name)}"
        axes.plot(recall, precision, label=label, **_line(number, measured))
        if len(measured.class_names) == 2:
            axes.axhline(positive.mean(), color=FAINT, linestyle=":", label="chance")
    axes.set(xlabel="Recall", ylabel="Precision", aspect="equal", xlim=UNIT_LIMITS, ylim=UNIT_LIMITS)
    return _with_legend(figure, axes, place="lower left")


def draw_calibration(measured: MeasuredSplit) -> "Figure":
    """Draw how often the answers of each probability are right, over how many photos have it."""
    confidence = measured.answers.confidence
    right = (measured.answers.truth == measured.answers.predicted).astype(float)
    by_bin = pd.DataFrame({"stated": confidence, "right": right}).groupby(calibration_bins(confidence)).mean()
    subtitle = f"{measured.subtitle}\nexpected calibration error {measured.text('ece')}"
    figure, axes = new_figure("Calibration", subtitle, size=(5.6, 6.4), rows=(3, 1))
    upper, lower = figure.axes
    upper.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="perfectly calibrated")
    upper.plot(by_bin["stated"], by_bin["right"], "o-", color=COLOURS[0], label="photos, in steps of 0.05")
    upper.set(ylabel="Share of right answers", ylim=UNIT_LIMITS)
    lower.hist(confidence, bins=np.linspace(0, 1, CALIBRATION_BINS + 1).tolist(), color=COLOURS[0], edgecolor="white")
    lower.set(xlabel="Probability of the predicted class", ylabel="Photos", xlim=(1 / len(measured.class_names), 1.01))
    return _with_legend(figure, axes, place="upper left")


def draw_accuracy_by_source(measured: MeasuredSplit) -> "Figure":
    """Draw the accuracy with its interval, overall and by source."""
    figure, axes = new_figure("Accuracy by source", measured.subtitle, size=(5.6, 2.2 + 0.6 * len(measured.slices)))
    for row, (source, part) in enumerate(measured.slices.items()):
        accuracy, colour = part["metrics"]["accuracy"], COLOURS[int(source != OVERALL)]
        if accuracy["low"] is not None:
            axes.plot([accuracy["low"], accuracy["high"]], [row, row], color=colour, linewidth=5, alpha=0.35)
        axes.plot(accuracy["value"], row, "o", color=colour, markersize=8)
        place = (accuracy["value"], row)
        axes.annotate(
            interval_text(accuracy), place, (0, 9), textcoords="offset points", ha="center", color=INK, size=9
        )
    names = [f"{short_label(name)}\n{part['photos']:,} photos" for name, part in measured.slices.items()]
    axes.set_yticks(range(len(names)), names)
    axes.margins(x=0.25)  # room for the texts beside the outermost points
    axes.set(xlabel="Accuracy, with its interval over subjects")
    axes.set_ylim(len(names) - 0.5, -0.7)
    return figure


def draw_history(history: pd.DataFrame) -> "Figure":
    """Draw loss and accuracy over the epochs; the epoch with the lowest validation loss is marked."""
    from matplotlib.ticker import MaxNLocator

    best_epoch = history["epoch"][history["val_loss"] == history["val_loss"].min()].head(1).astype(int)
    subtitle = f"{len(history)} epochs" + "".join(f", lowest validation loss in epoch {epoch}" for epoch in best_epoch)
    figure, axes = new_figure("Training history", subtitle, size=(6.4, 6.4), rows=(1, 1))
    for panel, column in zip(figure.axes, ("loss", "accuracy"), strict=True):
        panel.plot(history["epoch"], history[column], "o-", color=COLOURS[0], markersize=4, label="train")
        panel.plot(history["epoch"], history[f"val_{column}"], "s-", color=COLOURS[1], markersize=4, label="validation")
        panel.set_ylabel(column.capitalize())
        for epoch in best_epoch:
            panel.axvline(epoch, color=FAINT, linestyle=":", label="lowest validation loss")
    figure.axes[1].set_xlabel("Epoch")
    figure.axes[1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return _with_legend(figure, axes, place="best")


def _line(number: int, measured: MeasuredSplit) -> dict[str, Any]:
    if len(measured.class_names) > MAX_NAMED_CLASSES:
        return {"color": COLOURS[0], "linewidth": 0.8, "alpha": 0.5}
    # The style changes when the colours begin anew, so that no two lines look the same.
    style = "-" if number < len(COLOURS) else "--"
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": style, "linewidth": 2}


def _with_legend(figure: "Figure", axes: "Axes", *, place: LegendPlace) -> "Figure":
    if 0 < len(axes.get_legend_handles_labels()[1]) <= MAX_NAMED_CLASSES + 1:
        axes.legend(loc=place, frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)
    return figure
