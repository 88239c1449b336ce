"""The cells, rows and tables that the templates of index.html write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mammogan.evaluation.report.tables import interval_text, value_text
from mammogan.evaluation.result import Result
from mammogan.statistics.figure import Figure


@dataclass(frozen=True)
class Cell:
    """One cell of a table, as plain text."""

    text: str
    below: str = ""
    """Small grey text below."""
    why: str = ""
    """Text that appears under the pointer."""
    kind: str = ""
    """Class in the style sheet."""
    strong: bool = False


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    head: Cell
    cells: Sequence[Cell]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table. The column of the row heads has no head itself."""

    heads: Sequence[Cell]
    rows: Sequence[Row]


def column_title(result: Result) -> str:
    """Return the title of a column, such as '192 × 160'."""
    return result.name.replace("x", " × ", 1)


def column_heads(results: Sequence[Result]) -> list[Cell]:
    """Return one head per result."""
    return [Cell(column_title(result)) for result in results]


def figure_cell(figure: Figure) -> Cell:
    """Return a figure with its interval below it."""
    if figure.value is None:
        return Cell("n/a", why=figure.reason)
    return Cell(value_text(figure), below=interval_text(figure))
