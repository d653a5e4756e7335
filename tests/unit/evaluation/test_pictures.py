import io
import math
import threading

import pandas as pd
import pytest
from PIL import Image

from gender_pipeline.evaluation import EvaluationSettings, draw_pictures, measure
from gender_pipeline.evaluation.pictures import (
    MAX_NAMED_CLASSES,
    MeasuredSplit,
    draw_accuracy_by_source,
    draw_calibration,
    draw_confusion_matrix,
    draw_history,
    draw_precision_recall_curve,
    draw_roc_curve,
)
from gender_pipeline.evaluation.predictions import class_names_of, read_answers
from prediction_tables import predicted_photos, random_predictions

pytestmark = pytest.mark.filterwarnings("error")

FAST = EvaluationSettings(n_bootstrap=100)
OF_A_SPLIT = [
    draw_confusion_matrix,
    draw_roc_curve,
    draw_precision_recall_curve,
    draw_calibration,
    draw_accuracy_by_source,
]
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "loss": [0.6, 0.5, 0.4, 0.3],
        "accuracy": [0.7, 0.8, 0.85, 0.9],
        "val_loss": [0.6, 0.5, 0.45, 0.5],
        "val_accuracy": [0.7, 0.75, 0.8, 0.79],
    }
)


def drawn(predictions: pd.DataFrame, history: pd.DataFrame = HISTORY) -> dict[str, bytes]:
    return draw_pictures(predictions, measure(predictions, FAST), history)


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    """Draw all pictures once."""
    return drawn(random_predictions(40))


def measured_split(predictions: pd.DataFrame) -> MeasuredSplit:
    metrics = measure(predictions, FAST)
    return MeasuredSplit("test", read_answers(predictions), class_names_of(predictions), metrics["test"])


def texts(figure: object) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def legend(axes: object) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_there_are_six_pictures_of_legible_size(pictures: dict[str, bytes]) -> None:
    assert list(pictures) == [
        "confusion_matrix.png", "roc_curve.png", "precision_recall_curve.png", "calibration.png",
        "accuracy_by_source.png", "history.png",
    ]  # fmt: skip
    for data in pictures.values():
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.format == "PNG"
            assert min(image.size) >= 400


def test_the_same_input_gives_the_same_bytes_also_in_threads(pictures: dict[str, bytes]) -> None:
    predictions, found = random_predictions(40), []
    threads = [threading.Thread(target=lambda: found.append(drawn(predictions))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [pictures] * 2


def test_the_files_say_nothing_of_the_program_or_the_time(pictures: dict[str, bytes]) -> None:
    for data in pictures.values():
        with Image.open(io.BytesIO(data)) as image:
            assert set(image.info) == {"dpi"}


@pytest.mark.parametrize("draw", OF_A_SPLIT)
def test_a_picture_says_which_photos_it_shows(draw: object) -> None:
    assert "test split, 1,200 photos of 600 subjects" in texts(
        draw(measured_split(random_predictions(1200, photos_each=2)))
    )


def test_the_confusion_matrix_gives_counts_and_the_shares_of_the_rows() -> None:
    shown = texts(
        draw_confusion_matrix(measured_split(predicted_photos(["male"] * 3 + ["female"], [0.9, 0.8, 0.1, 0.1])))
    )
    assert all(cell in shown for cell in ("2\n66.7%", "1\n33.3%", "1\n100.0%", "0\n0.0%"))


def test_two_classes_have_one_curve_and_more_have_one_each() -> None:
    two = draw_roc_curve(measured_split(random_predictions(60)))
    assert len(two.axes[0].lines) == 1 + 1  # and the diagonal
    assert "male" in legend(two.axes[0])[1]
    assert len(draw_roc_curve(measured_split(random_predictions(90, ("a", "b", "c")))).axes[0].lines) == 1 + 3
    assert len(draw_precision_recall_curve(measured_split(random_predictions(90, ("a", "b", "c")))).axes[0].lines) == 3


def test_the_roc_curve_carries_the_measured_area_and_its_interval() -> None:
    measured = measured_split(random_predictions(60))
    figure = draw_roc_curve(measured)
    assert f"ROC AUC {measured.text('roc_auc')}" in texts(figure)
    assert legend(figure.axes[0])[1] == f"AUC {measured.text('roc_auc').split()[0]}, male"


def test_the_calibration_of_sure_and_right_answers_lies_on_the_diagonal() -> None:
    figure = draw_calibration(measured_split(predicted_photos(["male", "female"] * 5, [1.0, 0.0] * 5)))
    assert figure.axes[0].lines[1].get_xydata().tolist() == [[1.0, 1.0]]


def test_the_accuracy_of_every_source_has_a_row() -> None:
    table = pd.concat([random_predictions(40, source=source) for source in ("celeba", "muct")], ignore_index=True)
    axes = draw_accuracy_by_source(measured_split(table)).axes[0]
    assert [label.get_text().splitlines()[0] for label in axes.get_yticklabels()] == ["all", "celeba", "muct"]


def test_the_epoch_with_the_lowest_validation_loss_is_marked() -> None:
    figure = draw_history(HISTORY)
    assert "4 epochs, lowest validation loss in epoch 3" in texts(figure)
    assert figure.axes[0].lines[2].get_xdata() == [3, 3]


def test_a_training_without_validation_photos_has_no_best_epoch() -> None:
    figure = draw_history(HISTORY.assign(val_loss=math.nan, val_accuracy=math.nan))
    assert "lowest" not in texts(figure)


def test_a_training_without_epochs_has_no_picture() -> None:
    assert "history.png" not in drawn(random_predictions(20), HISTORY.head(0))


def test_without_test_photos_those_of_validation_are_shown() -> None:
    assert len(drawn(random_predictions(20, split="validation"))) == 6


def test_one_class_only_is_drawn_without_curves() -> None:
    predictions = predicted_photos(["female"] * 4, [0.1, 0.2, 0.6, 0.3])
    assert len(drawn(predictions)) == 6
    assert len(draw_roc_curve(measured_split(predictions)).axes[0].lines) == 1


def test_a_single_photo_is_drawn() -> None:
    assert len(drawn(predicted_photos(["male"], [0.9]))) == 6


def test_more_classes_than_can_be_named_are_drawn_without_their_names() -> None:
    names = tuple(f"class {number}" for number in range(MAX_NAMED_CLASSES + 1))
    figure = draw_roc_curve(measured_split(random_predictions(200, names)))
    assert figure.axes[0].get_legend() is None
    assert "class 1" not in texts(draw_confusion_matrix(measured_split(random_predictions(200, names))))


def test_names_from_archives_are_drawn_as_they_are_but_short_and_on_one_line() -> None:
    names = (r"$\frac{", "a\nb", "x" * 300, "<script>")
    predictions = random_predictions(80, names, source="$x^$_{" + "y" * 300)
    assert len(drawn(predictions)) == 6
    shown = texts(draw_confusion_matrix(measured_split(predictions)))
    assert r"\$\frac{" in shown
    assert "a b" in shown
    assert "<script>" in shown
    assert "x" * 19 + "…" in shown
    assert "x" * 20 not in shown
