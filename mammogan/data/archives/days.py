"""Read the days of a table's column, in every usual way of writing them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta

from mammogan.errors import UserError

ONE_WAY = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y"),
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%b-%d-%Y", "%Y-%b-%d", "%d%b%Y"),
)
"""Formats that can be read in one way only."""
MONTH_FIRST, DAY_FIRST = ("%m/%d/%Y", "%m/%d/%y"), ("%d/%m/%Y", "%d/%m/%y")
TIME = re.compile(r"[T :]\d{1,2}[:.]\d{2}\b.*$")
WEEKDAY = re.compile(r"^(mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?[.,]* ", re.I)
MARKS = re.compile(r"(?<=[a-z])\.|,|(?<=\d)\.(?= [a-z])|(?<=\d{8})\.0*$", re.I)
"""Marks that say nothing: 'Jan. 20, 2015', '20. Jan 2015', and a whole number that became 20150120.0."""
SERIAL = re.compile(r"([2-6]\d{4})(\.\d*)?")
"""The number of a day, as a workbook counts them: 1954 to 2091."""
DAY_0 = date(1899, 12, 30)
FIRST_YEAR, LAST_YEAR = 1954, 2091
"""A day of another year, such as 1900-01-01 or 9999-12-31, stands for a day that is not known."""


def days_of(cells: Iterable[str], where: str) -> dict[str, date | None]:
    """Return the day of each cell of a column; None if it is not understood.

    1/20/2015 has the month first and 20/1/2015 the day; which one a column means is decided by all its cells. Raises
    UserError, with ``where``, if no cell decides it, or if a spreadsheet may have read some cells in the other order.
    """
    found: dict[str, date | None] = {}
    open_cells = []
    for cell in set(cells) - {""}:
        plain = MARKS.sub("", WEEKDAY.sub("", TIME.sub("", cell.strip())))
        found[cell] = _serial(plain) or _first(plain, ONE_WAY)
        if found[cell] is None and re.fullmatch(r"\d{1,2}[/-]\d{1,2}[/-](\d{2}|\d{4})", plain):
            open_cells.append((cell, plain.replace("-", "/")))
    month_first, day_first = (
        {cell: _first(plain, order) for cell, plain in open_cells} for order in (MONTH_FIRST, DAY_FIRST)
    )
    fits = [order for order in (month_first, day_first) if all(order.values())]
    if open_cells and len(fits) == 2 and month_first != day_first:
        raise UserError(
            f"{where}: expected days that can be read in one way, found days such as 1/2/2015 only, which may be in "
            "January or in February; write them as 2015-01-02"
        )
    others = [day for day in found.values() if day]
    if len(fits) == 1 and others and all(day.day <= 12 for day in others):
        raise UserError(
            f"{where}: {open_cells[0][0]} has day and month in an order of its own, and all days that are written in "
            "another way are the 12th or earlier: a spreadsheet may have exchanged day and month in those that it "
            "understood; take the table as it was downloaded"
        )
    return found | (fits[0] if fits else {})


def _first(cell: str, formats: Iterable[str]) -> date | None:
    for form in formats:
        try:
            day = datetime.strptime(cell, form).date()
        except ValueError:
            continue
        return day if FIRST_YEAR <= day.year <= LAST_YEAR else None
    return None


def _serial(cell: str) -> date | None:
    match = SERIAL.fullmatch(cell)
    return DAY_0 + timedelta(days=int(match[1])) if match else None
