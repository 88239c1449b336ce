"""Draw pictures of single mammograms: original, adversarial and difference (the study's Fig. 2), and the lesion next
to its twin."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mammogan.evaluation.examples import FULL, Example, Pixels
from mammogan.evaluation.report.plot_style import DIVERGING, GREY, INK, MUTED, OUTLINE, pictures, rounded_limit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Window = tuple[float, float]

SYNTHETIC = "SYNTHETIC"
TEXT, SMALL = 11.5, 9.5
"""Font sizes in points, large because the pictures are shown smaller than they are drawn."""


def draw_triplets(path: Path, examples: Sequence[Example], note: str = "") -> None:
    """Draw one row per example: original | adversarial | their difference, with the lesion outlined if it is known.

    Original and adversarial share one grey window. All differences share one symmetric colour scale, shown on the
    colour bar.
    """
    limit = rounded_limit(max(float(np.quantile(np.abs(e.difference), 0.999)) for e in examples))
    ratio = examples[0].real.shape[0] / examples[0].real.shape[1]
    with pictures(path, len(examples), 3, ratio, width=2.9, note=note) as (grid, strip):
        for row, example in zip(grid, examples, strict=True):
            window = 0.0, max(float(np.quantile(example.real, 0.9995)), 1.0)
            _grey(row[:2], (example.real, example.fake), window)
            _change(row[2:], (example.difference,), limit)
            _breast_edge(row[2], example)
            _outline(row[:2], example, OUTLINE)
            _outline(row[2:], example, INK)
            _word(row[1])
            _finish_row(row, example, example.caption)
        _head(grid[0], ("original", "adversarial", "change"), dark_from=2)
        _colour_bar(strip, grid[0][2], limit)


def draw_twins(path: Path, examples: Sequence[Example], note: str = "") -> None:
    """Draw one row per example with a twin, cropped around its lesion: original | adversarial | true lesion-free twin |
    adversarial minus original | twin minus original."""
    cuts = [_cut_out(e) for e in examples]
    limit = rounded_limit(max(float(np.quantile(np.abs(_to_twin(c)), 0.999)) for c in cuts))
    with pictures(path, len(cuts), 5, 1.0, width=1.85, note=note) as (grid, strip):
        for row, cut in zip(grid, cuts, strict=True):
            _grey(row[:3], (cut.real, cut.fake, _twin(cut)), _window(cut.real, _twin(cut)))
            _change(row[3:], (cut.difference, _to_twin(cut)), limit)
            _outline(row[3:], cut, INK)
            _word(row[1])
            _finish_row(row, cut, f"{cut.name}, {cut.chosen}: probability of cancer {cut.before:.2f} → {cut.after:.2f}")
        _head(grid[0], ("original", "adversarial", "lesion-free twin", "change", "to the twin"), dark_from=3)
        _colour_bar(strip, grid[0][4], limit)


def _head(row: Sequence[Axes], titles: Sequence[str], dark_from: int) -> None:
    """Write titles at the upper edge of the first row's pictures: white on grey pictures, dark on differences."""
    for i, (panel, title) in enumerate(zip(row, titles, strict=True)):
        colour = INK if i >= dark_from else "white"
        edge = "white" if i >= dark_from else "black"
        written = panel.text(0.97, 0.975, title, transform=panel.transAxes, ha="right", va="top", fontsize=TEXT)
        written.set(color=colour, weight="bold", path_effects=[_stroke(edge)])


def _word(panel: Axes) -> None:
    """Write into an adversarial picture that it is synthetic, so that a part of the figure says so too."""
    written = panel.text(0.03, 0.02, SYNTHETIC, transform=panel.transAxes, va="bottom", fontsize=SMALL)
    written.set(color="white", weight="bold", path_effects=[_stroke("black")])


def _stroke(colour: str) -> Any:
    from matplotlib.patheffects import withStroke

    return withStroke(linewidth=2.2, foreground=colour)


def _finish_row(row: Sequence[Axes], example: Example, caption: str) -> None:
    _scale_bar(row[0], example)
    row[0].text(0, 1.02, caption, transform=row[0].transAxes, va="bottom", fontsize=TEXT)


def _grey(panels: Sequence[Axes], pictures: Sequence[Pixels], window: Window) -> None:
    for panel, pixels in zip(panels, pictures, strict=True):
        panel.imshow(pixels, cmap=GREY, vmin=window[0], vmax=window[1])


def _change(panels: Sequence[Axes], changes: Sequence[NDArray[np.float64]], limit: float) -> None:
    for panel, change in zip(panels, changes, strict=True):
        panel.imshow(change, cmap=DIVERGING, vmin=-limit, vmax=limit)


def _window(*pictures: Pixels) -> Window:
    """Return the range of grey values to show, from nearly the darkest to nearly the brightest of all ``pictures``."""
    low, high = np.quantile(np.concatenate([p.ravel() for p in pictures]), (0.005, 0.998))
    return float(low), float(high) + 1


def _breast_edge(panel: Axes, example: Example) -> None:
    """Draw a thin line at the breast's edge, for orientation in the difference image."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(example.real.astype(np.float32), example.real.shape[0] / 200)
    panel.contour(smooth, levels=[0.02 * FULL], colors=[MUTED], linewidths=0.4)


def _outline(panels: Sequence[Axes], example: Example, colour: str) -> None:
    """Draw a thin line slightly outside the lesion, so that its rim stays visible."""
    if example.lesion is None or not example.lesion.any():
        return
    from scipy.ndimage import distance_transform_edt

    away = distance_transform_edt(~example.lesion)
    for panel in panels:
        panel.contour(away, levels=[max(1.5, example.lesion.shape[0] / 130)], colors=[colour], linewidths=0.9)


def _scale_bar(panel: Axes, example: Example) -> None:
    """Draw a length in mm that fits into a third of the picture, at the lower right, where mammograms are black."""
    if not example.spacing:
        return
    height, width = example.real.shape
    mm = max((n for n in (1, 2, 5, 10, 20, 50) if n / example.spacing < 0.34 * width), default=1)
    end, low = 0.96 * width, 0.955 * height
    panel.plot([end - mm / example.spacing, end], [low, low], color="white", lw=1.6, solid_capstyle="butt")
    panel.text(end, low - 0.018 * height, f"{mm} mm", color="white", ha="right", va="bottom", fontsize=SMALL)


def _colour_bar(strip: Axes, panel: Axes, limit: float) -> None:
    bar = panel.figure.colorbar(panel.images[0], cax=strip, orientation="horizontal")
    bar.set_ticks([-limit, 0, limit], labels=[f"−{limit:g}%", "0", f"+{limit:g}%"])
    bar.outline.set_visible(False)
    strip.set_xlabel("of the full grey range", color=MUTED, fontsize=SMALL, labelpad=1)
    strip.tick_params(length=0, pad=3, labelsize=SMALL)


def _twin(example: Example) -> Pixels:
    if example.twin is None:
        raise ValueError(f"{example.name} has no lesion-free twin to be drawn beside it")
    return example.twin


def _to_twin(example: Example) -> NDArray[np.float64]:
    """Return twin minus original in percent of the full grey range."""
    return (_twin(example).astype(float) - example.real) / FULL * 100


def _cut_out(example: Example) -> Example:
    """Crop to a square around the lesion, more than twice as wide as the lesion, and at least two ninths of the shorter
    side."""
    if example.lesion is None:
        raise ValueError(f"{example.name} has no known lesion to be cut out")
    rows, columns = np.nonzero(example.lesion)
    height, width = example.real.shape
    half = min(int(max(1.1 * np.ptp(rows), 1.1 * np.ptp(columns), min(height, width) / 9)), min(height, width) // 2)
    top = int(np.clip((rows.min() + rows.max()) // 2 - half, 0, height - 2 * half))
    left = int(np.clip((columns.min() + columns.max()) // 2 - half, 0, width - 2 * half))
    here = np.s_[top : top + 2 * half, left : left + 2 * half]
    parts = {name: getattr(example, name)[here] for name in ("real", "fake", "lesion", "twin")}
    return dataclasses.replace(example, **parts)
