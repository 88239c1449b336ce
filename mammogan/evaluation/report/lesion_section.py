"""Say what is in the sections of index.html on whether the attack changes the lesion: removal, insertion, controls.

Each row explains in a sentence what it shows and what it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mammogan.evaluation.lesion.change_measures import DISC_MM
from mammogan.evaluation.lesion.summary import GENERATOR
from mammogan.evaluation.report.sections import Pictures
from mammogan.evaluation.report.table_cells import Cell, Row, Table, column_heads, column_title, figure_cell
from mammogan.evaluation.report.tables import value_text
from mammogan.evaluation.result import Result
from mammogan.statistics.figure import Figure

REMOVAL_ROWS = {
    "energy_near": (
        "Share of the change that lies near the lesion",
        "Where the change is. Not that the lesion is gone: an attack on the CAD alone may lie there too.",
    ),
    "area_near": (
        "Share of the picture that is near the lesion",
        "What a change spread evenly would have in the row above. It is no result of the generator.",
    ),
    "untouched": (
        "Distance from the original to its lesion-free twin",
        "The yardstick of the rows below. It is no result of the generator.",
    ),
    "removed": (
        "Distance from the adversarial image to the twin",
        "What is left of that distance. The rest of the picture does not count.",
    ),
    "way": (
        "How much of the distance to the twin it covered",
        "0%: the lesion is as it was. Changes elsewhere do not count.",
    ),
    "closer_db": (
        "How much closer to the twin, in dB",
        "How far the lesion is gone: 3 dB leave 71% of the distance, 6 dB half. Changes elsewhere do not count, so an "
        "image that is dimmed all over comes closer too.",
    ),
    "three_db": (
        "Images that came at least 3 dB closer to the twin",
        "How many came that far. The others may fool the CAD all the same.",
    ),
}
OF_TWINS = ("untouched", "removed", "way", "closer_db", "three_db")
"""Rows that need phantoms with twins."""
INSERTION_ROWS = {
    "in_disc": (
        f"Share of the change in one disc of {DISC_MM:.1f} mm radius",
        "Whether the change is in one place of a lesion's size. Not that it looks like a lesion.",
    ),
    "blobs": (
        "Pieces that the change falls into",
        "One, for one lesion. How large or bright it is does not count.",
    ),
    "peak": (
        "Largest change of a pixel",
        "How strong the change is at its strongest. Not how it is spread.",
    ),
    "found": (
        "Insertions that a blob detector finds where they are",
        "Whether it is visible as a brightening of a mass's size. The detector knows nothing of cancer, and the CAD "
        "takes no part.",
    ),
    "found_and_fooled": (
        "… and that fool the CAD, of the negatives it called correctly",
        "Both at once. Not that a radiologist would be fooled.",
    ),
    "real_lesions_found": (
        "Lesions of originals that the detector finds where they are",
        "The ceiling: insertions as visible as these lesions are found this often; more means more conspicuous ones.",
    ),
}
CONTROL_ROWS = {
    "twin": ("The lesion-free twin itself", "Perfect removal: the ceiling of every column."),
    "contrast": ("Contrast × 0.8", "The whole breast a little flatter about its mean: dims a lesion with all else."),
    "l2-1": ("Gradient descent on the CAD, L2 norm 1", "Three steps that look for the CAD's weakness, no lesion."),
    "l2-2": ("Gradient descent on the CAD, L2 norm 2", "The same with twice the change."),
    "identity": ("Identity-trained generator", "Reproduces the image; was not trained to fool or to remove."),
}


def removal_section(results: Sequence[Result], pictures: Pictures) -> dict[str, Any] | None:
    """Compare removals with the phantoms' truth, and with lesion-free twins where these exist; None: no phantoms."""
    known = [r for r in results if r.truth]
    if not known:
        return None
    with_twins = any(_has_twins(r) for r in known)
    rows = [
        _row(*REMOVAL_ROWS[name], [_removal_cell(name, r.truth[name]) for r in known if r.truth])
        for name in REMOVAL_ROWS
        if with_twins or name not in OF_TWINS
    ]
    twins = [(column_title(r), pictures.twins[r.name]) for r in known if r.name in pictures.twins]
    return {"with_twins": with_twins, "table": Table(column_heads(known), rows), "twins": twins}


def _has_twins(result: Result) -> bool:
    return bool(result.truth and result.truth["untouched"]["images"])


def insertion_section(results: Sequence[Result]) -> dict[str, Any] | None:
    """Describe the shape of inserted lesions, and how often a blob detector finds them; no truth is needed.

    None if nothing was inserted.
    """
    known = [(r, r.insertion) for r in results if r.insertion]
    if not known:
        return None
    rows = [
        _row(title, meaning, [_insertion_cell(name, found[name]) for _, found in known])
        for name, (title, meaning) in INSERTION_ROWS.items()
    ]
    return {"disc_mm": DISC_MM, "table": Table(column_heads([r for r, _ in known]), rows)}


def control_tables(results: Sequence[Result]) -> list[tuple[str, Table]]:
    """Show what else fools the CAD, in one table per resolution, next to the rows of its generators."""
    measured = [r for r in results if r.controls]
    tables = []
    for resolution in dict.fromkeys(r.resolution for r in measured):
        own = [r for r in measured if r.resolution == resolution]
        with_twins = any(_has_twins(r) or (r.controls or {})["twin"]["images"] for r in own)
        heads = ["Cancers fooled", "Change near the lesion", *(["dB closer", "≥ 3 dB"] if with_twins else [])]
        table = Table([Cell(text) for text in heads], _control_rows(own, with_twins))
        tables.append((f"{resolution.height} × {resolution.width}", table))
    return tables


def _control_rows(results: Sequence[Result], with_twins: bool) -> list[Row]:
    rows = []
    for result in results:
        name = "The generator" + ("" if result.objective == "study" else f", {result.objective} objective")
        rows.append(_control_row(name, "What Table 1 is about.", (result.controls or {})[GENERATOR], with_twins))
    for name, (title, meaning) in CONTROL_ROWS.items():
        rows.append(_control_row(title, meaning, (results[0].controls or {})[name], with_twins))
    return rows


def _control_row(title: str, meaning: str, found: dict[str, Any], with_twins: bool) -> Row:
    if found["reason"]:
        return _row(title, meaning, [Cell(found["reason"]), *[Cell("–")] * (3 if with_twins else 1)])
    cells = [figure_cell(Figure(**found["fooled"])), _spread_cell(found["energy_near"], _percent)]
    if with_twins:
        cells += [_spread_cell(found["closer_db"], _decibel), Cell(value_text(Figure(**found["three_db"])))]
    return _row(title, meaning, cells)


def _row(title: str, meaning: str, cells: Sequence[Cell]) -> Row:
    return Row(Cell(title, below=meaning), cells)


def _removal_cell(name: str, found: dict[str, Any]) -> Cell:
    if name == "three_db":
        return Cell(value_text(Figure(**found)))
    return _spread_cell(found, _decibel if name == "closer_db" else _percent)


def _insertion_cell(name: str, found: dict[str, Any]) -> Cell:
    if "value" in found:
        return figure_cell(Figure(**found))
    return _spread_cell(found, _count if name == "blobs" else _percent)


def _spread_cell(spread: dict[str, Any], format_value: Callable[[float], str]) -> Cell:
    """Return a median; below it, its interval, then quartiles, mean and number of images."""
    if spread["median"] is None:
        return Cell("n/a")
    middle, low, high, mean = (
        format_value(spread[name]) for name in ("median", "low_quartile", "high_quartile", "mean")
    )
    shown = f"quartiles {low} to {high}, mean {mean}, {spread['images']} images"
    if spread["median_low"] is not None:
        shown = f"{format_value(spread['median_low'])} to {format_value(spread['median_high'])}; {shown}"
    return Cell(middle, below=shown)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _decibel(value: float) -> str:
    return f"{value:.1f} dB"


def _count(value: float) -> str:
    return f"{value:g}" if value == round(value) else f"{value:.1f}"
