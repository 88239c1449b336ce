"""Say what is in the section of index.html on which single numbers of an image reveal adversarial ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from mammogan.evaluation.forensics.giveaways import ARTEFACTS, BOUND
from mammogan.evaluation.report.table_cells import Cell, Row, Table, column_title
from mammogan.evaluation.result import Result
from mammogan.workspace import Direction

NUMBERS = {
    "zeros": "Share of pixels that are exactly 0",
    "minimum": "Darkest grey of the picture",
    "breast_minimum": "Darkest grey of the breast",
    "off_grid": "Share of pixels off the source's grey grid",
    "corner": "Grey of the darkest corner",
    "distinct": "Different grey values for each pixel of the breast",
    "maximum": "Brightest grey of the breast",
    "slope": "Slope of the spectrum",
    "noise": "Noise: what a 3 x 3 mean takes away",
}
KEPT = {
    "original": "keeps the original's air and grey grid",
    "as-generated": "was saved as generated, air and grey values too",
}


def giveaway_section(results: Sequence[Result]) -> dict[str, Any]:
    """Return one table per report column that has adversarial images, and what it shows in words."""
    return {
        "artefacts": len(ARTEFACTS),
        "bound": BOUND,
        "shown": [_column(r) for r in results if any(found["images"] for found in r.forensics.values())],
    }


def _column(result: Result) -> dict[str, Any]:
    return {
        "head": column_title(result),
        "kept": _background_kept(result),
        "revealing": _revealing(result.forensics),
        "table": _table(result),
    }


def _background_kept(result: Result) -> str:
    """Say what was kept of the originals."""
    background = result.provenance.get("background", {})
    return " ".join(f"What {d} made {KEPT[background[d]]}." for d in map(str, Direction) if d in background)


def _revealing(forensics: dict[str, Any]) -> str:
    """Say which artefacts reveal an adversarial image; empty if none does."""
    return "; ".join(
        f"{NUMBERS[name].lower()} ({direction}, {worst:.2f})"
        for direction, found in forensics.items()
        for name in ARTEFACTS
        if (worst := max(filter(None, found["auc"][name].values()), default=0)) >= BOUND
    )


def _table(result: Result) -> Table:
    there = {d: found for d, found in result.forensics.items() if found["images"]}
    heads = [
        Cell(text)
        for d, found in there.items()
        for text in (f"{d}: their {found['sources']} sources", f"{d}: {found['pretended']} {Direction(d).target}s")
    ]
    rows = [
        _row(name, [value for found in there.values() for value in found["auc"][name].values()]) for name in NUMBERS
    ]
    return Table(heads, rows)


def _row(name: str, values: Sequence[float | None]) -> Row:
    ours = Markup(NUMBERS[name])  # no HTML in it, so the page has the words as they are here
    return Row(Cell(ours), [_cell(name, value) for value in values])


def _cell(name: str, value: float | None) -> Cell:
    if value is None:
        return Cell("n/a")
    return Cell(f"{value:.2f}", strong=name in ARTEFACTS and value >= BOUND)
