"""Notice one patient whose identifier is written with and without separators: 123-45-6789 and 123456789."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from mammogan.data.cohort.identifiers import first_lines, spelling_free, unescaped, who_and_where

SHORTEST = 4
"""Identifiers with fewer letters and digits are often numbers of a centre and of a patient there: 1-1 is not 11."""
NO_LETTER = re.compile(r"[\W_]")
ISSUED = re.compile(r"\^{3}.*", re.S)
"""Who gave an identifier, as HL7 and DICOM write it, or the title of a person: DOE^JANE^^^DR."""


def separator_warnings(patients: Iterable[tuple[int, str]]) -> list[str]:
    """Return at most one warning: how many patients have two identifiers that differ in separators, and two rows.

    ``patients``: the line and the patient of each row. It is no fault, because a separator may be a part of a number.
    Identifiers that are divided at different places, such as 12-345 and 123-45, are never taken for one. Of names such
    as DOE^JANE and JANE DOE, the order does not count either.
    """
    found: defaultdict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
    for patient, line in first_lines(patients).items():
        plain = divided(patient)
        if len(plain.replace(" ", "")) >= SHORTEST:
            parts = " ".join(map(spelling_free, plain.split()))
            together = spelling_free(plain)
            for key in {together, _names(parts) or together}:
                found[key].setdefault(spelling_free(patient), (line, parts))
    twice = {frozenset(spellings): sorted(spellings.values()) for spellings in found.values() if _are_one(spellings)}
    if not twice:
        return []
    (first, _), (second, _) = min(twice.values())[:2]
    who, where = who_and_where(len(twice), (first, second))
    return [
        f"{who} identifiers that differ only in separators, such as 123-45-6789 and 123456789, or in the order of "
        f"names ({where}): one woman? She can be in two splits; if she is one, give all her rows one identifier"
    ]


def divided(patient: str) -> str:
    """Return an identifier with one space for all marks between its letters and digits, and none around it."""
    plain = spelling_free(patient)
    if not plain.lstrip("-").isdecimal():  # in a number, a mark may be that of thousands or of decimals
        plain = ISSUED.sub("", unescaped(patient))
    return " ".join(NO_LETTER.sub(_as_space, plain).split())


def _as_space(match: re.Match[str]) -> str:
    """Return a space for a mark or a space. The accents and vowels of many scripts are none."""
    return " " if unicodedata.category(match[0])[0] in "PSZ" else match[0]


def _names(parts: str) -> str:
    """Return words in the order of the alphabet, and nothing if some are no names: of numbers, the order counts."""
    words = parts.split()
    return " ".join(sorted(words)) if all(len(word) > 1 and word.isalpha() for word in words) else ""


def _are_one(spellings: dict[str, tuple[int, str]]) -> bool:
    """Return whether there are several spellings, and all that have separators have them at the same places."""
    places = {_names(parts) or parts for _, parts in spellings.values() if " " in parts}
    return len(spellings) > 1 and len(places) == 1
