"""Derive the label of an image from the finding in its breast, by rules that the user can choose."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mammogan.data.archives.tables import Cells
from mammogan.workspace import Label

Finding = Literal[
    "cancer", "interval", "prior", "benign", "recalled", "uncertain", "contralateral", "unlisted", "normal", "unknown"
]  # fmt: skip
"""What an archive's tables say of a breast. cancer: positive by the chosen basis. normal: negative. unknown: the tables
do not say. For each of the others, the user chooses the label."""
Basis = Literal["biopsy", "birads5", "birads45", "table"]
Choice = Literal["exclude", "negative", "positive"]

OPEN_TO_CHOICE: dict[Finding, str] = {
    "benign": "a benign finding, by biopsy or pathology",
    "recalled": "recalled from screening, no cancer found",
    "uncertain": "an assessment that was not settled",
    "interval": "before a cancer that was found between two screenings",
    "prior": "another exam of a breast with cancer",
    "contralateral": "the other breast of a woman with cancer",
    "unlisted": "a breast that the tables do not mention, of a woman whom they do",
}
WITH_CANCER = ("cancer", "interval", "prior")
UNKNOWN_EXAM = "?"
"""The exam of an image of which only the woman is known, because one UID stands in files of several exams."""
OTHER_SIDE = {"L": "R", "R": "L"}


@dataclass(frozen=True)
class Policy:
    """The label of a breast's images, by finding. exclude leaves them out, with the reason label_<finding>."""

    positive: Literal["auto", "biopsy", "birads5", "birads45"] = "auto"
    """What counts as positive. auto: cancer proven by biopsy or pathology if the archive records it, else BI-RADS 5 and
    6. biopsy: proven cancer only. birads5, birads45: also BI-RADS 5 and 6, or 4 to 6, as a radiologist assessed it."""
    benign: Choice = "exclude"
    """Label of findings that are benign by biopsy or pathology."""
    recalled: Choice = "exclude"
    """Label of breasts recalled from screening without a cancer found."""
    uncertain: Choice = "exclude"
    """Label of breasts with an unsettled assessment: BI-RADS 3 or 4, or a recall without a known result."""
    interval: Choice = "exclude"
    """Label of screening images of a breast in which cancer was found before the next screening."""
    prior: Choice = "exclude"
    """Label of images from other exams of a breast with cancer."""
    contralateral: Choice = "exclude"
    """Label of the other breast of a woman with cancer; the study leaves it out."""
    unlisted: Choice = "exclude"
    """Label of a breast that the tables do not mention, of a woman whom they do; negative presumes it to be normal."""

    def label(self, finding: Finding) -> Label | None:
        """Return the label for a finding; None means that the image is not used."""
        if finding == "cancer":
            return "positive"
        if finding == "normal":
            return "negative"
        choice: Choice = getattr(self, finding, "exclude")
        return None if choice == "exclude" else choice


BIRADS = re.compile(r"(?:bi[ -]?rads?[ :]*)?([0-6])[a-c]?(?:\.0*)?", re.I)


def read_birads(row: Cells, column: str, basis: Basis) -> Finding:
    """Return the finding for the BI-RADS category in a cell; unknown if it is empty or, remembered, not understood."""

    def meaning(cell: str) -> Finding | None:
        return None if (finding := finding_of_birads(cell, basis)) == "unknown" else finding

    return row.read(column, meaning, "unknown")


def finding_of_birads(category: str, basis: Basis) -> Finding:
    """Return the finding for a BI-RADS category, 0 to 6, if nothing else is known of the breast.

    '4a' and 'BI-RADS 4' are understood too. Any other text gives unknown, such as '2/4', of which nobody knows which
    counts.
    """
    match = BIRADS.fullmatch(category.strip())
    positive = {"birads5": "56", "birads45": "456"}.get(basis, "")
    if not match:
        return "unknown"
    digit = match[1]
    if digit in positive:
        return "cancer"
    return {"0": "recalled", "1": "normal", "2": "normal"}.get(digit, "uncertain")  # type: ignore[return-value]


class Cases:
    """The breasts with cancer in an archive, and what they mean for other images of the same women."""

    def __init__(self) -> None:
        self.studies: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def add(self, findings: Iterable[tuple[str, str, str, Finding]]) -> None:
        """Add findings, given as (patient, laterality, study, finding)."""
        for patient, laterality, study, finding in findings:
            if finding in WITH_CANCER and laterality:
                self.studies[patient, laterality].add(study)

    def settled(self, patient: str, laterality: str, study: str, finding: Finding) -> Finding:
        """Correct the finding of an image by the cancers found in the woman's other images.

        A cancer is a property of the breast, not of the view. An image of a breast with cancer becomes uncertain in the
        exam of the cancer and prior in another exam; if one of the two exams is not known, it is uncertain. An image of
        the other breast becomes contralateral. Cancers and unknown findings are kept.
        """
        if finding in WITH_CANCER or finding == "unknown":
            return finding
        if studies := self.studies.get((patient, laterality)):
            is_other = study not in studies and UNKNOWN_EXAM not in (study, *studies)
            return "prior" if is_other else "uncertain"
        return "contralateral" if (patient, OTHER_SIDE[laterality]) in self.studies else finding
