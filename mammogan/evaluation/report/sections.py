"""Say what is in the sections of index.html on Table 1, the examples and the further figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mammogan.data.inspect.population import no_patient
from mammogan.evaluation.report.table_cells import Cell, Row, Table, column_heads, column_title, figure_cell
from mammogan.evaluation.report.tables import NOT_GIVEN, notes, paper_columns
from mammogan.evaluation.result import Result
from mammogan.evaluation.table1 import PAPER, ROWS
from mammogan.statistics.figure import Figure
from mammogan.workspace import Direction

Facts = dict[str, Any]

KINDS = {"fooled_remove": "of", "fooled_insert": "of", "fooled_both": "total"}
"""Rows of Table 1 with a class in the style sheet."""
TITLES = {
    Direction.REMOVE: "Cancers made to look negative",
    Direction.INSERT: "Negatives made to look like cancer",
}


@dataclass(frozen=True)
class Pictures:
    """File names, relative to the page, of the figures that exist."""

    roc: str
    shift: str
    triplets: dict[tuple[str, Direction], str]
    """By column name and direction."""
    twins: dict[str, str]
    """By column name."""

    def names(self) -> list[str]:
        return [self.roc, self.shift, *self.triplets.values(), *self.twins.values()]


def caption_note(results: Sequence[Result]) -> str:
    """Return what every caption says first: what phantoms were used; empty if all mammograms are of patients."""
    return "; ".join(dict.fromkeys(r.note for r in results if r.note))


def banners(results: Sequence[Result], facts: Facts) -> list[str]:
    """Return what has to be read before any figure."""
    note = caption_note(results)
    if note and all(r.population and r.population.all_phantoms for r in results):
        note = no_patient(note)
    elif note:
        note = f"Counted together, as requested: {note}."
    return [text for text in (facts["out_of_domain"], note, *(r.notice for r in results)) if text]


def opening(results: Sequence[Result], facts: Facts) -> dict[str, Any]:
    """Return the title, what was read, banners if there are any, and the main findings in words."""
    images = max(len(r.cases.patients) for r in results)
    adversarial = max(int(r.cases.has_adversarial.sum()) for r in results)
    drawn = all(r.population and r.population.all_phantoms for r in results)
    return {
        "title": f"Can adversarial {'phantom ' if drawn else ''}mammograms fool the CAD?",
        "images": images,
        "kind": caption_note(results) if drawn else "mammograms",
        "patients": max(len(set(r.cases.patients)) for r in results),
        "of": "drawn patients" if drawn else "patients",
        "adversarial": "All" if adversarial == images else adversarial,
        "banners": banners(results, facts),
        "short": [(column_title(r), _in_short(r)) for r in results],
    }


def _in_short(result: Result) -> str:
    table = result.table
    words = _calls(table["positives_right"], table["negatives_right"])
    if table["fooled_remove"].value is not None:
        words.append(f"After the attack, {_of(table['fooled_remove'], 'cancers it had found')} pass as negative.")
    if table["fooled_insert"].value is not None:
        words.append(f"{_of(table['fooled_insert'], 'negatives it had cleared')} are called cancer after the attack.")
    return " ".join(words)


def _calls(found: Figure, cleared: Figure) -> list[str]:
    """Say how the CAD reads the original mammograms, and which class is missing, if one is."""
    read = ((found, "cancers", "positive"), (cleared, "negatives", "negative"))
    calls = [f"{_of(figure, what)} {call}" for figure, what, call in read if figure.value is not None]
    missing = [f"There are no {what} among these mammograms." for figure, what, _ in read if figure.value is None]
    return [*missing, *([f"The CAD calls {' and '.join(calls)}."] if calls else [])]


def _of(figure: Figure, what: str) -> str:
    """Return text such as '44 of 74 cancers (59%)' for a figure that has a value; without the share over few
    patients."""
    share = "" if figure.of_few_patients else f" ({100 * (figure.value or 0):.0f}%)"
    return f"{figure.numerator} of {figure.denominator} {what}{share}"


def table_section(results: Sequence[Result]) -> dict[str, Any]:
    """Return Table 1, with the paper's figures next to ours, and the notes below it."""
    paper = [Cell(name.replace("x", " × "), kind="paper") for name in paper_columns()]
    rows = [_table_row(name, results) for name in ROWS]
    return {"table": Table([*column_heads(results), *paper], rows), "notes": notes(results)}


def _table_row(name: str, results: Sequence[Result]) -> Row:
    ours = [figure_cell(r.table[name]) for r in results]
    paper = [Cell(given.get(name, NOT_GIVEN), kind="paper") for given in PAPER.values()]
    return Row(Cell(ROWS[name]), [*ours, *paper], KINDS.get(name, ""))


def triplet_sections(results: Sequence[Result], pictures: Pictures) -> list[dict[str, Any]]:
    """Return, for each direction that has triplets (original, adversarial, change), their pictures by column title."""
    sections = []
    for direction in Direction:
        shown = [r for r in results if (r.name, direction) in pictures.triplets]
        known = any(e.lesion is not None for r in shown for e in r.examples[direction])
        named = [(column_title(r), pictures.triplets[r.name, direction]) for r in shown]
        sections.append({"title": TITLES[direction], "lesion_known": known, "shown": named})
    return [section for section in sections if section["shown"]]


def further_table(results: Sequence[Result]) -> Table:
    """Return mean probabilities, distances from the original, and fooled shares by breast density."""
    rows = [row for direction in Direction for row in (*_means(results, direction), *_densities(results, direction))]
    return Table(column_heads(results), rows)


def _means(results: Sequence[Result], direction: Direction) -> list[Row]:
    means = [r.secondary["mean_probability"][str(direction)] for r in results]
    distances = [r.secondary["identity"][str(direction)]["together"] for r in results]
    arrows = ["n/a" if m["before"] is None else f"{m['before']:.3f} → {m['after']:.3f}" for m in means]
    written = ["n/a" if d is None else f"{d:.2g}" for d in distances]
    return [
        Row(Cell(f"{TITLES[direction]}: mean probability of cancer"), [Cell(text) for text in arrows]),
        Row(Cell(f"{TITLES[direction]}: distance from the original"), [Cell(text) for text in written]),
    ]


def _densities(results: Sequence[Result], direction: Direction) -> list[Row]:
    by = [r.secondary["fooled_by_density"].get(str(direction), {}) for r in results]
    known = sorted({density for found in by for density in found})
    return [
        Row(
            Cell(f"… fooled, breast density {d}"),
            [figure_cell(Figure(**found[d])) if d in found else Cell("n/a") for found in by],
        )
        for d in known
    ]


TRAINED = ("resolution", "width", "epochs", "epoch", "pairs", "seed", "start")
HEADS = ("Resolution", "Width", "Epochs, at most", "Kept after epoch", "Pairs a batch", "Seed", "Started from")
NETWORKS = {"cad": "CAD", **{str(d): f"Generator, {d}" for d in Direction}}


def trainings(results: Sequence[Result]) -> Table:
    """Return the settings of every training behind a column."""
    rows = []
    for result in results:
        for name, of in result.provenance.get("training", {}).items():
            cells = [_setting(of.get(setting)) for setting in TRAINED] if of else [Cell("not recorded")]
            rows.append(Row(Cell(NETWORKS[name], below=column_title(result)), cells))
    return Table([Cell(text) for text in HEADS], rows)


def _setting(value: Any) -> Cell:
    if value is None:
        return Cell(NOT_GIVEN)
    return Cell(" + ".join(map(str, value)) if isinstance(value, list) else str(value))


def cohorts(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the name, the splits and the fingerprint of each cohort, once."""
    found = [result.provenance["cohort"] for result in results if "cohort" in result.provenance]
    return [of for number, of in enumerate(found) if of not in found[:number]]


def origins(results: Sequence[Result]) -> list[tuple[str, dict[str, Any]]]:
    """Return the CAD and the generators of each column."""
    return [(result.name, result.provenance) for result in results]
