import io
import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gender_pipeline.evaluation.comparison_picture import comparison_figure, draw_comparison
from gender_pipeline.evaluation.cross_source_picture import cross_source_figure, draw_cross_source
from gender_pipeline.evaluation.page import write_comparison_page, write_cross_source_page

pytestmark = pytest.mark.filterwarnings("error")
HOSTILE = "<script>$x$</script>"


def comparison_table(n_recipes: int = 9, **changes: object) -> pd.DataFrame:
    """Return a table of recipes close to each other; the last one failed."""
    random = np.random.default_rng(0)
    accuracy = 0.9 + random.random(n_recipes) / 50
    latency_ms = 10 + random.random(n_recipes) * 5
    table = pd.DataFrame(
        {
            "name": [f"recipe_number_{number}" for number in range(n_recipes)],
            "params.backbone": "efficientnet_lite0",
            "params.image_size_px": 160,
            "params.trainable": "head",
            "params.device": "A Processor, 2 threads",
            "accuracy": accuracy,
            "accuracy_low": accuracy - 0.01,
            "accuracy_high": accuracy + 0.01,
            "test_photos": 1500.0,
            "latency_ms": latency_ms,
            "photos_per_second_1": 1000 / latency_ms,
            "photos_per_second_32": 120.0,
            "parameters_million": 3.4,
            "weights_mb": np.linspace(10, 500, n_recipes),
            "train_seconds": 12.0,
            "pareto": np.arange(n_recipes) < 3,
            "problem": "",
        }
    ).assign(**changes)
    unknown = table.columns[8:-2].union(["params.device", "accuracy", "accuracy_low", "accuracy_high"])
    failed = table.tail(1).assign(name="failed", pareto=False, problem="no weights", **dict.fromkeys(unknown, np.nan))
    return pd.concat([table, failed.astype({"params.device": "str"}).assign(**{"params.device": None})])


def cross_cells(**changes: object) -> pd.DataFrame:
    rows = [
        {"trained_on": row, "tested_on": column, "train_photos": 7000, "test_photos": 1500, "test_subjects": 800}
        for row, column in itertools.product(["a", "b", "all"], ["a", "b"])
    ]
    numbers = {"accuracy": [0.9, 0.61, 0.7, np.nan, 0.8, 0.8], "accuracy_low": 0.6, "accuracy_high": 0.95}
    problems = {"problem": ["", "", "", "2 test photos, fewer than 30", "", ""]}
    return pd.DataFrame(rows).assign(**numbers, **problems).assign(**changes)


def texts(figure: object) -> list[str]:
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize(
    ("draw", "table"),
    [(draw_comparison, comparison_table()), (draw_cross_source, cross_cells())],
    ids=["points", "map"],
)
def test_the_same_table_gives_the_same_legible_picture(draw, table) -> None:
    ((name, data),) = draw(table).items()
    assert name.endswith(".png")
    assert draw(table)[name] == data
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "PNG"
        assert min(image.size) >= 400


def test_every_recipe_is_named_with_its_size_and_the_failed_one_is_counted() -> None:
    found = texts(comparison_figure(comparison_table(2)))
    assert {"recipe_number_0, 10 MB", "recipe_number_1, 500 MB"} <= set(found)
    assert any("A Processor, 2 threads" in text for text in found)
    assert any("1,500 test photos, 2 recipes; 1 without a result, see the table" in text for text in found)
    assert not any("failed" in text for text in found)


def test_labels_cover_neither_each_other_nor_the_legend() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Annotation, Text

    figure = comparison_figure(comparison_table())
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    labels = [text for text in figure.findobj(Annotation) if text.get_text().endswith("MB")]
    for label in labels:
        label.update_positions(renderer)
    boxes = [Text.get_window_extent(label, renderer) for label in labels]
    boxes.append(figure.axes[0].get_legend().get_window_extent(renderer))
    assert len(boxes) == 10
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_one_recipe_alone_is_drawn() -> None:
    assert draw_comparison(comparison_table(1))


def test_the_heat_map_carries_numbers_intervals_and_counts() -> None:
    found = texts(cross_source_figure(cross_cells()))
    for text in ("0.610", "0.600\N{EN DASH}0.950", "no result", "a\n1,500 photos", "all\n7,000 photos"):
        assert text in found


def test_a_cell_of_a_single_subject_has_no_interval() -> None:
    found = texts(cross_source_figure(cross_cells(accuracy_low=np.nan, accuracy_high=np.nan)))
    assert "0.610" in found
    assert not any("\N{EN DASH}" in text for text in found)


def test_only_the_cells_of_one_source_are_framed() -> None:
    from matplotlib.patches import Rectangle

    axes = cross_source_figure(cross_cells()).axes[0]
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [(round(frame.get_x()), round(frame.get_y())) for frame in frames] == [(0, 0), (1, 1)]


def test_the_page_of_a_comparison_says_how_it_was_measured_and_why_one_failed() -> None:
    page = write_comparison_page(comparison_table(), {"a.png": b"PNG"}, "Drawn faces.")
    for part in ("Drawn faces.", "A Processor, 2 threads", "no result: no weights", "median", "data:image/png;base64,"):
        assert part in page
    assert "nan" not in page


def test_the_page_of_a_matrix_has_numbers_and_reasons() -> None:
    page = write_cross_source_page(cross_cells(), {"a.png": b"PNG"}, {"recipe": "quickstart", "data": "Drawn faces."})
    for part in ("quickstart", "0.610", "no result: 2 test photos, fewer than 30", "7,000 trained on, 1,500 tested"):
        assert part in page
    assert "nan" not in page


def test_names_from_archives_are_escaped() -> None:
    cells = cross_cells(trained_on=HOSTILE)
    page = write_cross_source_page(cells, {}, {"recipe": HOSTILE, "data": HOSTILE})
    assert "<script" not in page
    assert "&lt;script&gt;" in page
