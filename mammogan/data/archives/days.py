"""Read the days of a table's column, in every usual way of writing them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from mammogan.errors import UserError

Order = tuple[str, ...]
ONE_WAY = ("%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%b-%d-%Y", "%Y-%b-%d", "%d%b%Y")
"""Formats that can be read in one way only."""
USUALLY = (("%Y/%m/%d", "%Y/%d/%m"), ("%d-%b-%y", "%y-%b-%d"))
"""Formats, each with one that is so rare that only a column has it in which some cells fit no other."""
MONTH_FIRST, DAY_FIRST, YEAR_FIRST = ("%m/%d/%Y", "%m/%d/%y"), ("%d/%m/%Y", "%d/%m/%y"), ("%y/%m/%d",)
SEPARATOR = re.compile(r"(?<=\d)[-/.](?=\d)")
IN_ONE = re.compile(r"\d{8}")
"""20150120; with fewer digits it is no day, but may be a month, as 201511."""
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

    1/20/2015 has the month first, 20/1/2015 the day, and 98/1/20 the year; which one a column means is decided by all
    its cells, apart for those with points. Raises UserError, with ``where``, if no cell decides it, or if a spreadsheet
    may have read some cells in the other order.
    """
    plain = {cell: MARKS.sub("", WEEKDAY.sub("", TIME.sub("", cell.strip()))) for cell in set(cells) - {""}}
    found = {cell: _in_one_way(text) for cell, text in plain.items()}
    slashed = {cell: SEPARATOR.sub("/", text) for cell, text in plain.items() if not found[cell]}
    for order, other in USUALLY:
        found |= _as_usual(slashed, order, other)
    others, pointed = (
        _readings({cell: text for cell, text in slashed.items() if ("." in plain[cell]) is has_points})
        for has_points in (False, True)
    )
    known = [day for day in found.values() if day]
    _refuse_exchanged(others, [*known, *_all_days(pointed)], where)
    if DAY_FIRST not in pointed:  # which is how everybody writes days with points
        _refuse_exchanged(pointed, [*known, *_all_days(others)], where)
    for fits in (others, pointed):
        _refuse_two_ways([*fits.values()], where)
        found |= next(iter(fits.values()), {})
    return found


def _in_one_way(text: str) -> date | None:
    return _serial(text) or _first(text, ["%Y%m%d"] if IN_ONE.fullmatch(text) else ONE_WAY)


def _as_usual(cells: Mapping[str, str], order: str, other: str) -> dict[str, date]:
    """Return the days of the cells in the first order, or in the other one if some cells fit that one only.

    If some fit one and some the other, only those are returned that can be read in one way.
    """
    usual, rare = _days(cells, (order,)), _days(cells, (other,))
    if rare.keys() <= usual.keys():
        return usual
    if usual.keys() <= rare.keys():
        return rare
    return {cell: day for cell, day in (rare | usual).items() if rare.get(cell, day) == usual.get(cell, day)}


def _readings(cells: Mapping[str, str]) -> dict[Order, dict[str, date]]:
    """Return the days for each order of day, month and year in which all cells can be read that are days at all."""
    orders = {order: _days(cells, order) for order in (MONTH_FIRST, DAY_FIRST, YEAR_FIRST)}
    of_any = {cell for days in orders.values() for cell in days}
    return {order: days for order, days in orders.items() if days and days.keys() == of_any}


def _all_days(fits: Mapping[Order, Mapping[str, date]]) -> list[date]:
    return [day for days in fits.values() for day in days.values()]


def _refuse_exchanged(fits: Mapping[Order, Mapping[str, date]], others: Sequence[date], where: str) -> None:
    """Raise UserError if cells can be read in one order only, and the days of all ``others`` could be months."""
    if len(fits) == 1 and others and all(day.day <= 12 for day in others):
        [days] = fits.values()
        raise UserError(
            f"{where}: {min(days)} has day and month in an order of its own, and all days that are written in another "
            "way are the 12th or earlier: a spreadsheet may have exchanged day and month in those that it understood; "
            "take the table as it was downloaded"
        )


def _refuse_two_ways(fits: Sequence[Mapping[str, date]], where: str) -> None:
    """Raise UserError if all cells can be read in several orders, which give different days."""
    if any(days != fits[0] for days in fits):
        raise UserError(
            f"{where}: expected days that can be read in one way, found days such as 1/2/2015 only, which may be in "
            "January or in February, or such as 15-01-12, which may be in 2015 or in 2012; write them as 2015-01-02"
        )


def _days(cells: Mapping[str, str], order: Order) -> dict[str, date]:
    return {cell: day for cell, text in cells.items() if (day := _first(text, order))}


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
