"""Define the style of every figure (colours, fonts) and how one is made and saved. matplotlib is imported lazily
here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mammogan.io.atomic import replaced_atomically
from mammogan.io.png_text import DESCRIPTION
from mammogan.statistics.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

INK = "#1c2733"
MUTED = "#6c7884"
HAIR = "#d9dee3"
REAL = "#1d5f86"
FAKE = "#c4502f"
REMOVE = "#14786f"
INSERT = "#b3541e"
OUTLINE = "#ffc845"
DIVERGING = "RdBu_r"
GREY = "gray"

_RC: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Source Sans 3", "Helvetica Neue", "Arial", "DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
DPI = 200
_PLAIN: dict[str, str | None] = {"Software": None, DESCRIPTION: "MammoGAN, research: with synthetic mammograms"}


@contextmanager
def drawing(
    path: Path, columns: int, size: tuple[float, float], note: str = ""
) -> Iterator[tuple[Drawing, list[Axes]]]:
    """Give a figure of ``size`` inches with a row of axes; on leaving it is saved as PNG at ``path``.

    ``note`` is written above it, so that it goes wherever the picture goes.
    """
    with _saved(path, size, note, layout="constrained") as figure:
        yield figure, list(figure.subplots(1, columns, squeeze=False, sharey=True)[0])


@contextmanager
def pictures(
    path: Path, rows: int, columns: int, ratio: float, width: float, note: str = ""
) -> Iterator[tuple[list[list[Axes]], Axes]]:
    """Give axes for rows of bare images, ``width`` inches wide and ``ratio`` times as high, with room for a line of
    text above each row, and axes for a colour bar below the last column. On leaving the figure is saved as PNG at
    ``path``, with ``note`` above it."""
    gap, text, strip = 0.07, 0.38, 0.5
    across, down = width + gap, width * ratio + text
    size = columns * across - gap, rows * down + strip
    with _saved(path, size, note) as figure:
        grid = [
            [
                bare(_place(figure, size, (column * across, row * down + text, width, width * ratio)))
                for column in range(columns)
            ]
            for row in range(rows)
        ]
        low = rows * down + 0.08
        yield grid, _place(figure, size, (size[0] - 0.9 * width, low, 0.8 * width, 0.09))


def _place(figure: Drawing, size: tuple[float, float], box: tuple[float, float, float, float]) -> Axes:
    """Add axes at ``box``: left, top, width, height in inches, from the figure's upper left corner."""
    left, top, width, height = box
    return figure.add_axes((left / size[0], 1 - (top + height) / size[1], width / size[0], height / size[1]))


@contextmanager
def _saved(path: Path, size: tuple[float, float], note: str = "", **options: Any) -> Iterator[Drawing]:
    """Give a figure and save it on leaving. It needs no display and changes no global state of matplotlib."""
    import logging

    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawing

    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # no warning if the preferred font is missing
    with matplotlib.rc_context(_RC):
        figure = Drawing(figsize=size, **options)
        FigureCanvasAgg(figure)
        yield figure
        figure.text(0.005, 1 + 0.12 / size[1], note, va="bottom", color=MUTED, fontsize=8.5)
        with replaced_atomically(path) as temporary:
            figure.savefig(temporary, dpi=DPI, format="png", bbox_inches="tight", pad_inches=0.08, metadata=_PLAIN)


def bare(axes: Axes) -> Axes:
    """Remove ticks and frame from the axes, for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def rounded_limit(value: float) -> float:
    """Return the next of 1, 1.5, 2, 3, 5, 8 x 10^n from ``value`` up, a readable limit for a colour bar; 1 for 0."""
    if value <= 0:
        return 1.0
    decade = 10.0 ** math.floor(math.log10(value))
    return float(next(step * decade for step in (1, 1.5, 2, 3, 5, 8, 10) if step * decade >= value * (1 - 1e-9)))


def mark_interval(
    panel: Axes, figure: Figure, at: float, colour: str, mark: str = "o", hollow: bool = False, size: float = 5
) -> None:
    """Draw a figure as a mark on its interval, at the height ``at``; nothing if it has no value or no interval."""
    if figure.value is None or figure.low is None or figure.high is None:
        return
    panel.hlines(at, figure.low, figure.high, color=colour, lw=0.24 * size)
    panel.plot(figure.value, at, mark, color=colour, mfc="white" if hollow else colour, ms=size, clip_on=False)
