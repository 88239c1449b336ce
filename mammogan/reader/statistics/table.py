"""One table of a report: written as CSV, JSON and Markdown with the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.io import tables
from mammogan.io.atomic import write_json, write_text

Value = str | int | float | None


@dataclass(frozen=True)
class Table:
    """Rows by column name, a caption above, and sentences below."""

    name: str
    """Name of its files, such as table3."""
    caption: str
    rows: Sequence[dict[str, Value]]
    notes: tuple[str, ...] = ()
    for_people: Sequence[dict[str, Value]] = ()
    """The same in fewer and wider cells, for the page and Markdown; empty: the rows themselves."""
    mammograms: str = ""
    """What the mammograms are, phantoms or of patients; in the JSON file beside the caption."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns that a person sees."""
        rows = self.for_people or self.rows
        return list(rows[0]) if rows else []

    def shown(self) -> list[list[str]]:
        """Return the cells that a person sees: two or three digits, n/a for None."""
        return [[shown(row.get(column)) for column in self.columns] for row in self.for_people or self.rows]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [f"**{self.caption}**", ""]
        if self.rows:
            lines += [_line(self.columns), "|" + "---|" * len(self.columns), *map(_line, self.shown())]
        else:
            lines += ["Nothing to show."]
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)]) + "\n"

    def write(self, folder: Path) -> None:
        """Write NAME.csv, NAME.json and NAME.md."""
        write_text(folder / f"{self.name}.md", self.markdown())
        above = {"caption": self.caption, "mammograms": self.mammograms}
        write_json(folder / f"{self.name}.json", {**above, "notes": list(self.notes), "rows": list(self.rows)})
        columns = list(self.rows[0]) if self.rows else []
        cells = [["" if row[name] is None else row[name] for name in columns] for row in self.rows]
        tables.write(folder / f"{self.name}.csv", columns, cells)


def shown(value: Value) -> str:
    """Return a cell as a person wants to read it."""
    if value is None:
        return "n/a"
    if isinstance(value, float):
        return "<.001" if 0 < value < 0.001 else f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"
    return str(value)


def with_interval(value: Value, low: Value, high: Value) -> str:
    """Return "value (low to high)"; n/a where there is no value."""
    if value is None or low is None or high is None:
        return shown(value)
    value, low, high = (f"{float(one):.2f}".replace("-0.00", "0.00") for one in (value, low, high))
    return f"{value} ({low} to {high})"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
