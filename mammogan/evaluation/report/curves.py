"""Draw the report's curves: ROC of original and adversarial mammograms, and the CAD's probability before and after
the attack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sklearn.metrics import roc_curve

from mammogan.evaluation.report.plot_style import FAKE, HAIR, INK, INSERT, MUTED, REAL, REMOVE, drawing
from mammogan.evaluation.table1 import Cases
from mammogan.statistics.figure import Figure
from mammogan.workspace import Direction

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {Direction.REMOVE: REMOVE, Direction.INSERT: INSERT}
SEEM = {Direction.REMOVE: "cancers made to look negative", Direction.INSERT: "negatives made to look like cancer"}


def draw_roc(
    path: Path, cases: Mapping[str, Cases], tables: Mapping[str, Mapping[str, Figure]], threshold: float, note: str = ""
) -> None:
    """Draw one panel per report column: ROC of original mammograms, and of adversarial ones with flipped labels."""
    with drawing(path, len(cases), (4.1 * len(cases), 4.3), note) as (_, panels):
        for panel, (name, case) in zip(panels, cases.items(), strict=True):
            _roc_panel(panel, case, tables[name], threshold)
            panel.set_title(name.replace("x", " × "))
        panels[0].set_ylabel("sensitivity")


def _roc_panel(panel: Axes, case: Cases, table: Mapping[str, Figure], threshold: float) -> None:
    panel.plot([0, 1], [0, 1], color=HAIR, lw=1, zorder=0)
    has_adversarial = case.has_adversarial
    curves = (
        ("original", "auc_real", REAL, case.positive, case.before),
        (
            "adversarial, flipped labels",
            "auc_adversarial",
            FAKE,
            ~case.positive[has_adversarial],
            case.after[has_adversarial],
        ),
    )
    for height, (name, row, colour, positive, score) in zip((0.17, 0.07), curves, strict=True):
        _place_text(panel, height, name, table[row], colour)
        if table[row].value is not None:
            false, true, _ = roc_curve(positive, score, drop_intermediate=False)
            panel.plot(false, true, color=colour, lw=1.8)
            called = score > threshold
            at = (called & ~positive).sum() / (~positive).sum(), (called & positive).sum() / positive.sum()
            panel.plot(*at, "o", ms=6, mfc="white", mec=colour, mew=1.6)
    panel.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), aspect="equal", xlabel="1 − specificity")
    panel.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    panel.set_yticks([0, 0.5, 1], ["0", ".5", "1"])


def _place_text(panel: Axes, height: float, name: str, auc: Figure, colour: str) -> None:
    if auc.value is None:
        text = f"{name}: n/a"
    elif auc.low is None:
        text = f"{name}: AUC {auc.value:.2f}"
    else:
        text = f"{name}: AUC {auc.value:.2f} ({auc.low:.2f}–{auc.high:.2f})"
    panel.text(0.98, height, text, color=colour, ha="right", va="center", fontsize=8.5, weight="bold")


def draw_shift(path: Path, cases: Mapping[str, Cases], threshold: float, note: str = "") -> None:
    """Draw one panel per report column: the probability of cancer before and after the attack, tinted where the call
    turns."""
    with drawing(path, len(cases), (4.1 * len(cases), 4.6), note) as (figure, panels):
        for panel, (name, case) in zip(panels, cases.items(), strict=True):
            _shift_panel(panel, case, threshold)
            panel.set_title(name.replace("x", " × "))
        panels[0].set_ylabel("CAD's probability of cancer, adversarial")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(cases), handletextpad=0.2)


def _shift_panel(panel: Axes, case: Cases, threshold: float) -> None:
    t = threshold
    panel.fill_between([t, 1.02], -0.02, t, color=REMOVE, alpha=0.07, lw=0)
    panel.fill_between([-0.02, t], t, 1.02, color=INSERT, alpha=0.07, lw=0)
    panel.text(t - 0.02, 1, "turned to cancer", color=INSERT, ha="right", va="top", fontsize=8, zorder=0)
    panel.text(t + 0.02, 0, "turned to negative", color=REMOVE, va="bottom", fontsize=8, zorder=0)
    panel.axhline(t, color=HAIR, lw=0.8, zorder=0)
    panel.axvline(t, color=HAIR, lw=0.8, zorder=0)
    panel.plot([0, 1], [0, 1], color=MUTED, lw=0.7, ls=(0, (2, 3)), zorder=0)
    for direction in (Direction.INSERT, Direction.REMOVE):
        chosen = case.of(direction) & case.has_adversarial
        panel.scatter(
            case.before[chosen],
            case.after[chosen],
            s=16,
            color=COLOURS[direction],
            alpha=0.55,
            lw=0.4,
            edgecolor="white",
            label=SEEM[direction],
            clip_on=False,
        )
    panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xlabel="CAD's probability of cancer, original")
    panel.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
    panel.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    panel.tick_params(colors=INK)
