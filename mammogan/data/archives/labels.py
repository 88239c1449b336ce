"""From what was found in a breast to the label of its images, by rules that the user can see and choose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mammogan.config import Label

Finding = Literal[
    "cancer", "interval", "prior", "benign", "recalled", "uncertain", "contralateral", "unlisted", "normal", "unknown"
]  # fmt: skip
"""cancer: positive by the basis chosen. normal: negative. unknown: nothing is said. The others are left to the user."""
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
OTHER_SIDE = {"L": "R", "R": "L"}


@dataclass(frozen=True)
class Policy:
    """What the images of a breast are labelled. exclude leaves them out, with the reason label_<finding>."""

    positive: Literal["auto", "biopsy", "birads5", "birads45"] = "auto"
    """What makes a positive. auto: cancer proven by biopsy or pathology where the archive knows it, else BI-RADS 5 and
    6. birads45: BI-RADS 4, 5 and 6, as a radiologist gave it."""
    benign: Choice = "exclude"
    """Benign by biopsy or pathology."""
    recalled: Choice = "exclude"
    """Recalled from screening, no cancer found."""
    uncertain: Choice = "exclude"
    """Assessed but not settled: BI-RADS 3 or 4 or a recall of which no more is known."""
    interval: Choice = "exclude"
    """Screening images of a breast in which cancer was found before the next screening."""
    prior: Choice = "exclude"
    """Images from other exams of a breast with cancer."""
    contralateral: Choice = "exclude"
    """The other breast of a woman with cancer; the study leaves it out."""
    unlisted: Choice = "exclude"
    """A breast that the tables do not mention, of a woman whom they do; presumed normal by those who use it."""

    def label(self, finding: Finding) -> Label | None:
        """None: not used."""
        if finding == "cancer":
            return "positive"
        if finding == "normal":
            return "negative"
        choice: Choice = getattr(self, finding, "exclude")
        return None if choice == "exclude" else choice


def finding_of_birads(category: str, basis: Basis) -> Finding:
    """BI-RADS 0 to 6, also as '4a' or 'BI-RADS 4': the finding when nothing else is known of the breast."""
    digit = next((sign for sign in category if sign.isdigit()), "")
    positive = {"birads5": "56", "birads45": "456"}.get(basis, "")
    if not digit or digit not in "0123456":
        return "unknown"
    if digit in positive:
        return "cancer"
    return {"0": "recalled", "1": "normal", "2": "normal"}.get(digit, "uncertain")  # type: ignore[return-value]


class Cases:
    """The breasts with cancer of an archive, and what that means for the other images of the same women."""

    def __init__(self) -> None:
        self.studies: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def add(self, findings: Iterable[tuple[str, str, str, Finding]]) -> None:
        """Take in findings as (patient, laterality, study, finding)."""
        for patient, laterality, study, finding in findings:
            if finding in WITH_CANCER and laterality:
                self.studies[patient, laterality].add(study)

    def settled(self, patient: str, laterality: str, study: str, finding: Finding) -> Finding:
        """The finding in the light of the woman's other images; cancer is of the breast, whichever view shows it."""
        if finding in WITH_CANCER or finding == "unknown":
            return finding
        if studies := self.studies.get((patient, laterality)):
            return "uncertain" if study in studies else "prior"
        return "contralateral" if (patient, OTHER_SIDE[laterality]) in self.studies else finding
