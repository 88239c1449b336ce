"""Write Table 1 as JSON, CSV and Markdown, and format its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mammogan.evaluation.result import Result
from mammogan.evaluation.table1 import PAPER, ROWS
from mammogan.io import tables
from mammogan.io.atomic import write_json, write_text
from mammogan.statistics.figure import Figure

NOT_GIVEN = "–"
CSV_COLUMNS = (
    *("resolution", "name", "figure", "value", "interval_low", "interval_high"),
    *("numerator", "denominator", "note", "paper", "objective", "population"),
)


def value_text(figure: Figure) -> str:
    """'44/74 (59.5%)', '0.82' or 'n/a'; '7/9' over few patients."""
    if figure.value is None:
        return "n/a"
    if figure.denominator is None:
        return f"{figure.value:.2f}"
    if figure.of_few_patients:
        return f"{figure.numerator}/{figure.denominator}"
    return f"{figure.numerator}/{figure.denominator} ({100 * figure.value:.1f}%)"


def interval_text(figure: Figure) -> str:
    """'48.1–70.3%', '0.77–0.86', or 'n/a'; over few patients their number instead."""
    if figure.of_few_patients and figure.value is not None:
        return "1 patient" if figure.patients == 1 else f"{figure.patients} patients"
    if figure.low is None or figure.high is None:
        return "n/a"
    if figure.denominator is None:
        return f"{figure.low:.2f}–{figure.high:.2f}"
    return f"{100 * figure.low:.1f}–{100 * figure.high:.1f}%"


def notes(results: Sequence[Result]) -> list[str]:
    """Return why figures or intervals are n/a or understate the uncertainty: one line per reason, with the rows it
    concerns."""
    rows: dict[str, list[str]] = {}
    for result in results:
        for name, figure in result.table.items():
            if reason := figure.reason or figure.interval_reason:
                what = "interval: " if not figure.reason else ""
                rows.setdefault(f"{result.name}, {what}{reason}", []).append(ROWS[name].removeprefix("… of those, "))
    return [f"{reason} ({'; '.join(names)})." for reason, names in rows.items()] + list(_tries(results))


def _tries(results: Sequence[Result]) -> Iterator[str]:
    """Note where a CAD chose among several insertions, since the figures then describe the chosen ones."""
    for result in results:
        tries = max(result.provenance.get("tries", {}).values(), default=0)
        if tries > 1:
            yield (
                f"{result.name}: of up to {tries} lesions that were tried for each negative, the first that a CAD "
                "called positive was inserted (mammogan generate --tries 1 uses no CAD)."
            )


def paper_columns() -> list[str]:
    return [f"paper, {name}" for name in PAPER]


def write_table_json(path: Path, results: Sequence[Result], facts: dict[str, Any]) -> None:
    """Write everything for machines: ``facts`` first, then each column. Unknown values are null, never NaN."""
    found = {result.name: result.to_json() for result in results}
    write_json(path, {"schema": 1, **facts, "rows": ROWS, "resolutions": found, "paper": PAPER})


def write_table_csv(path: Path, results: Sequence[Result]) -> None:
    """Write one line per figure and report column."""
    tables.write(path, CSV_COLUMNS, _csv_rows(results))


def _csv_rows(results: Sequence[Result]) -> Iterator[tuple[object, ...]]:
    for result in results:
        paper = PAPER.get(str(result.resolution), {})
        for name, f in result.table.items():
            note = f.reason or f.interval_reason
            numbers = (f.value, f.low, f.high, f.numerator, f.denominator)
            of = result.population.kind if result.population else ""
            yield str(result.resolution), name, ROWS[name], *numbers, note, paper.get(name, ""), result.objective, of


def write_table_markdown(path: Path, results: Sequence[Result], banners: Sequence[str]) -> None:
    """Write the study's rows: ours with 95% intervals, and the paper's next to them; the banners above. Texts that are
    given, such as --out-of-domain, are escaped."""
    ours = [f"{result.name} (95% interval)" for result in results]
    lines = [line for banner in banners for line in (f"**{escaped(banner)}**", "")]
    lines += [_row(["", *ours, *paper_columns()]), _row(["---"] * (1 + len(ours) + len(PAPER)))]
    for name, title in ROWS.items():
        cells = [f"{value_text(r.table[name])}, {interval_text(r.table[name])}" for r in results]
        cells = ["n/a" if cell == "n/a, n/a" else cell for cell in cells]
        lines.append(_row([title, *cells, *(paper.get(name, NOT_GIVEN) for paper in PAPER.values())]))
    remarks = [f"- {escaped(line)}" for line in notes(results)]
    write_text(path, "\n".join([*lines, *(["", *remarks] if remarks else [])]) + "\n")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"


def escaped(text: str) -> str:
    """Escape what Markdown and the HTML in it would read as their own, and put the text on one line."""
    return re.sub(r"([\\`*_\[\]|<>])", r"\\\1", " ".join(text.split())).replace("\\<", "&lt;").replace("\\>", "&gt;")
