"""What all pictures have in common: colours for all readers, an empty figure, and PNG bytes."""

import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too; their yellow is too pale for a line on white.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, FAINT, GRID = "#1F2933", "#5F6B76", "#DDE2E7"
DOTS_PER_INCH: Final = 150


def new_figure(
    title: str, subtitle: str, *, size: tuple[float, float] = (5.6, 6.0), rows: tuple[int, ...] = (1,)
) -> "tuple[Figure, Axes]":
    """Return an empty figure of `size` inches with panels below each other, `rows` high, and the uppermost of them."""
    # Not pyplot: its global state is no thread's own.
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12), facecolor="white")
    panels = figure.subplots(len(rows), 1, sharex=True, height_ratios=rows, squeeze=False)[:, 0]
    for axes in panels:
        axes.grid(visible=True, color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=10)
    pad_points = 8 + 14 * len(subtitle.splitlines())
    panels[0].set_title(title, loc="left", color=INK, size=14, weight="bold", pad=pad_points)
    panels[0].annotate(
        subtitle, (0, 1), (0, 8), xycoords="axes fraction", textcoords="offset points", color=FAINT, size=10
    )
    return figure, panels[0]


def short_label(name: str) -> str:
    """Return a name from the data as text to draw: short, on one line, and without matplotlib's mathematics."""
    line = " ".join(name.split())
    return (line if len(line) <= 20 else f"{line[:19]}…").replace("$", r"\$")


def png_bytes(figure: "Figure") -> bytes:
    """Return a figure as PNG; the same figure gives the same bytes under the same matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
