"""Identifiers of patients as spreadsheets leave them: rounded, with zeros lost or added, in other letters."""

from __future__ import annotations

import re
import unicodedata

ROUNDED = re.compile(r"[+-]?\d([.,]\d+)?e\+\d+", re.I)
"""A number that a spreadsheet writes with an exponent. The plus sign distinguishes it from a hexadecimal identifier."""
INVISIBLE = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")


def is_rounded(identifier: str) -> bool:
    """Return whether a spreadsheet has rounded an identifier, such as 1.23457E+12; several may have become one."""
    return bool(ROUNDED.fullmatch(identifier.strip()))


def without_decimals(identifier: str) -> str:
    """Return 12345 for 12345.0, as spreadsheets and pandas write it; any other identifier unchanged."""
    match = re.fullmatch(r"(-?\d+)\.0*", identifier.strip())
    return match[1] if match else identifier


def spelling_free(identifier: str) -> str:
    """Return what two spellings of one identifier share: 0100, 100, 100.0 and ' 100' all give 100.

    Zeros at the start, decimals, case, spaces and the way in which accents are stored do not count.
    """
    plain = INVISIBLE.sub("", unicodedata.normalize("NFKC", identifier)).casefold()
    plain = re.sub(r"[.,]0*$", "", plain) if re.fullmatch(r"-?\d+[.,]0*", plain) else plain
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)
