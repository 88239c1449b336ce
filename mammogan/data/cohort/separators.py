"""Notice one patient whose identifier is written with and without separators: 123-45-6789 and 123456789."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from mammogan.data.cohort.identifiers import spelling_free, who_and_where, without_decimals

SEPARATOR = re.compile(r"[\s\-._/\\\u2010-\u2015\u2212]+")
SHORTEST = 4
"""Identifiers with fewer letters and digits are often numbers of a centre and of a patient there: 1-1 is not 11."""


def separator_warnings(patients: Iterable[tuple[int, str]]) -> list[str]:
    """Return at most one warning: how many patients have two identifiers that differ in separators, and two rows.

    ``patients``: the line and the patient of each row. It is no fault, because a separator may be a part of a number.
    Identifiers that are divided at different places, such as 12-345 and 123-45, are never taken for one.
    """
    found: defaultdict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
    for line, patient in patients:
        plain = SEPARATOR.sub(" ", without_decimals(patient).strip())
        if len(plain.replace(" ", "")) >= SHORTEST:
            divided = " ".join(map(spelling_free, plain.split()))
            found[spelling_free(plain)].setdefault(spelling_free(patient), (line, divided))
    twice = [sorted(spellings.values()) for spellings in found.values() if _are_one(spellings)]
    if not twice:
        return []
    (first, _), (second, _) = min(twice)[:2]
    who, where = who_and_where(len(twice), (first, second))
    return [
        f"{who} identifiers that differ only in separators, such as 123-45-6789 and 123456789 ({where}): one woman? "
        "She can be in two splits; if she is one, give all her rows one identifier"
    ]


def _are_one(spellings: dict[str, tuple[int, str]]) -> bool:
    """Return whether there are several spellings, and all that have separators have them at the same places."""
    return len(spellings) > 1 and len({divided for _, divided in spellings.values() if " " in divided}) == 1
