"""Notice identifiers that a spreadsheet has changed, which only the other identifiers of the table give away."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mammogan.data.cohort.identifiers import who_and_where

MONTHS = (
    "janv?|ene|gen|feb|f[eé]vr?|mar|m[aä]r|mrz|mrt|mars|apr|abr|avr|avril|may|mai|maj|mag|mei|jun|juin|giu|jul|juill?|lug|aug|"
    "ao[uû]t|ago|sep|sept|set|oct|okt|ott|out|nov|dec|dez|d[eé]c|dic"
)
"""How spreadsheets shorten the names of months in some languages."""
DAY = re.compile(rf"\d{{1,2}}\.?[- ]({MONTHS})\.?|({MONTHS})\.?[- ]\d{{2}}|(19|20)\d\d-\d\d-\d\d", re.I)
"""What 1-3 and 3-45 become: 01-Mar, Mar-45, and the text of a day in a workbook."""
OF_A_CENTRE = re.compile(r"\d{1,2}[-/.]\d{1,4}")
"""A number of a centre and of a patient there."""
NAMED = rf"({MONTHS}|march|april|june|july|august|september|october|november|december)"
TAKEN_FOR_DAYS = (
    (OF_A_CENTRE, DAY),
    (
        re.compile(r"[^\W\d_]{3,9}[-. /]?\d{1,4}|\d{1,2}[^\W\d_]{3,9}"),
        re.compile(rf"\d{{1,2}}\.?[- ]({MONTHS})\.?", re.I),
    ),
    (re.compile(rf"{NAMED}[-. /]?(19|20)\d\d", re.I), re.compile(rf"({MONTHS})\.?[- ]\d\d", re.I)),
    (re.compile(rf"{NAMED}[-. /]?\d{{1,4}}|\d{{1,2}}{NAMED}", re.I), re.compile(r"(19|20)\d\d-\d\d-\d\d")),
)
"""Identifiers, and the days that can only be such identifiers beside them: 01-Mar beside 1-45, and 1-Mar beside MAR2
and ABC2; but not MAR-01 beside ABC-02, which somebody may have given."""
LONG = re.compile(r"[1-9]\d{15,16}")
"""A number of more digits than the 15 that a spreadsheet keeps."""
MANY = 5
"""So many numbers that all end in 0 are no chance."""
A_DAY = "a day such as 01-Mar, which a spreadsheet has made of one such as 1-3 or MAR1"
CUT = "a number of which a spreadsheet kept 15 digits: all numbers of its length end in 0"
CHANGED_HINT = (
    "several patients may have become one: take the table as it was before a spreadsheet read it, or give the column "
    "the format 'text' there. If these identifiers are right, write a letter before each"
)


def changed_identifiers(identifiers: Iterable[str]) -> dict[str, str]:
    """Return what each identifier is that a spreadsheet has surely changed; several patients may have become one.

    A day beside numbers of centres, such as 01-Mar beside 1-45, was a number too, and so was 1-Mar beside MAR2. Numbers
    of 16 or 17 digits that all end in zeros have lost their last digits.
    """
    known = {identifier: _number(identifier) for identifier in identifiers}
    changed: dict[str, str] = {}
    no_days = [plain for plain in known.values() if not DAY.fullmatch(plain)]
    for others, days in TAKEN_FOR_DAYS:
        if any(map(others.fullmatch, no_days)):
            changed |= {identifier: A_DAY for identifier, plain in known.items() if days.fullmatch(plain)}
    long = [identifier for identifier, plain in known.items() if LONG.fullmatch(plain)]
    if len({known[one] for one in long}) >= MANY and all(_may_be_cut(known[one]) for one in long):
        changed |= dict.fromkeys(long, CUT)
    return changed


def rounding_warnings(patients: Iterable[tuple[int, str]]) -> list[str]:
    """Return at most one warning: how many patients have a number in full, and also as a spreadsheet rounds it.

    ``patients``: the line and the patient of each row. Numbers that follow each other differ in the last digit only
    too; but then only one in ten ends in 0.
    """
    first: dict[str, int] = {}
    for line, patient in patients:
        if LONG.fullmatch(plain := _number(patient)):
            first.setdefault(plain, line)
    in_full = {_kept(number): line for number, line in first.items() if not _may_be_cut(number)}
    cut = [number for number in first if _may_be_cut(number)]
    twice = [(first[number], in_full[_kept(number)]) for number in cut if _kept(number) in in_full]
    if not twice or 3 * len(cut) < len(first):
        return []
    who, where = who_and_where(len(twice), sorted(min(twice)))
    return [
        f"{who} an identifier of 16 or 17 digits that also occurs with other last digits and with zeros there "
        f"({where}): has a spreadsheet, which keeps 15 digits, rounded some? "
        "One woman can be in two splits then; take the table as it was before"
    ]


def _may_be_cut(number: str) -> bool:
    """Return whether a long number has only zeros after the 15 digits that a spreadsheet keeps."""
    return not number[15:].strip("0")


def _kept(number: str) -> tuple[int, str]:
    """Return what a spreadsheet keeps of a long number."""
    return len(number), number[:15]


def _number(identifier: str) -> str:
    """Return an identifier without the name of an archive or a table before it, as in rsna:100."""
    return identifier.rpartition(":")[2].strip()
