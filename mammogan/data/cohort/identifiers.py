"""Identifiers of patients as spreadsheets leave them: rounded, with zeros lost or added, in other letters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from mammogan.errors import UserError

MOST_PATIENTS = 3
"""A UID or PatientID in files of more patients says nothing: an anonymiser gave it to all. If it is in files of fewer,
they may be one woman with several spellings."""
ROUNDED = re.compile(r"[+-]?\d([.,]\d+)?e\+\d+|[1-9]\d{14}0{3,}", re.I)
"""A number that a spreadsheet writes with an exponent, or of which it kept the 15 digits that it can. The plus sign
distinguishes the first from a hexadecimal identifier; one or two zeros after 15 digits may be chance."""
THOUSANDS = re.compile(r"[1-9]\d{0,2}(,\d{3})+")
INVISIBLE = re.compile(r"[\s\u200b-\u200f\u2060\ufeff\u00ad]+")
DASHES = re.compile(r"[\u2010-\u2015\u2212]")
AS_TEXT = re.compile(r"'(?P<marked>.*)|=?\"(?P<quoted>[^\"]*)\"", re.S)
"""How spreadsheets write a number that is to stay a text: '0100 and ="0100"."""


def is_rounded(identifier: str) -> bool:
    """Return whether a spreadsheet has rounded an identifier, such as 1.23457E+12; several may have become one."""
    return bool(ROUNDED.fullmatch(identifier.strip()))


def without_decimals(identifier: str) -> str:
    """Return 12345 for 12345.0, as spreadsheets and pandas write it; any other identifier unchanged."""
    match = re.fullmatch(r"(-?\d+)\.0*", identifier.strip())
    return match[1] if match else identifier


def spelling_free(identifier: str) -> str:
    """Return what two spellings of one identifier share: 0100, 100, 100.0 and ' 100' all give 100.

    Zeros at the start, decimals, case, spaces, the kind of a dash, a spreadsheet's marks of a text and the way in which
    accents are stored do not count.
    """
    plain = DASHES.sub("-", INVISIBLE.sub("", unicodedata.normalize("NFKC", identifier))).casefold()
    if match := AS_TEXT.fullmatch(plain):
        plain = match["marked"] or match["quoted"] or plain
    plain = plain.replace(",", "") if THOUSANDS.fullmatch(plain) else plain
    plain = re.sub(r"[.,]0*$", "", plain) if re.fullmatch(r"-?\d+[.,]0*", plain) else plain
    return re.sub(r"(?<!\d)0+(?=\d)", "", plain)


def refuse_other_spellings(identifiers: Iterable[str], others: Iterable[str], where: str) -> None:
    """Raise UserError if two tables write one identifier in two ways: what one says of her would not be found."""
    known = set(identifiers)
    spelled = {spelling_free(identifier): identifier for identifier in known}
    odd = {other for other in others if other not in known and spelling_free(other) in spelled}
    if odd:
        raise UserError(
            f"{where}: expected one spelling for each patient, found {len(odd)} with two, such as 0100 and 100; take "
            "the tables as they were downloaded"
        )
