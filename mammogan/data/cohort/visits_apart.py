"""Notice one patient who has an identifier for each visit: P001_V1 and P001_V2."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from mammogan.data.cohort.identifiers import first_lines, spelling_free, who_and_where

VISIT = re.compile(
    r"(?P<stem>.*\w)[-_ ./]+(?P<visit>(v|t|tp|visit|timepoint)[-_ ]?\d{1,2}|baseline|follow[-_ ]?up[-_ ]?\d{0,2}|"
    r"pre|post|(19|20)\d\d)",
    re.I,
)
"""An identifier and a visit after it. A number alone, as in P001_1, may be that of a patient of a centre."""
SEVERAL = 2
"""So many women with an identifier for each visit are no chance."""


def visits_apart_warnings(patients: Iterable[tuple[int, str]]) -> list[str]:
    """Return at most one warning: how many patients have an identifier for each visit, and two rows.

    ``patients``: the line and the patient of each row.
    """
    visits: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for patient, line in first_lines(patients).items():
        if match := VISIT.fullmatch(patient.strip()):
            visits[spelling_free(match["stem"])].setdefault(match["visit"].casefold(), line)
    women = [sorted(lines.values())[:2] for lines in visits.values() if len(lines) > 1]
    if len(women) < SEVERAL:
        return []
    who, where = who_and_where(len(women), min(women))
    return [
        f"{who} identifiers that differ only in the visit, such as P001_V1 and P001_V2 ({where}): one woman? She can "
        "be in two splits; if she is one, give all her rows one identifier, without the visit"
    ]
