"""Notice several women who stand under one patient of a table, such as 0, by the PatientIDs of their files' headers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from mammogan.data.cohort.identifiers import MOST_PATIENTS


@dataclass
class _Files:
    """The files of a patient that have a PatientID."""

    headers: set[str] = field(default_factory=set)
    views: Counter[str] = field(default_factory=Counter)
    """How many there are of each side and view."""

    @property
    def are_repeated(self) -> bool:
        return max(self.views.values()) > 1

    @property
    def may_be_of_several(self) -> bool:
        """Many images of one view may be of many exams, and a few PatientIDs of a few hospitals."""
        return len(self.headers) > MOST_PATIENTS and max(self.views.values()) > MOST_PATIENTS


def many_women(files: Iterable[tuple[str, str, str]]) -> dict[str, int]:
    """Return the patients who may be several women, each with the number of PatientIDs in her headers.

    ``files``: patient, side and view, and PatientID of each file. Nobody is named if PatientIDs also differ within most
    of the other patients who have several images of one view: an anonymiser gave a new one to each exam or file.
    """
    patients: defaultdict[str, _Files] = defaultdict(_Files)
    for patient, view, header in files:
        if header:
            patients[patient].headers.add(header)
            patients[patient].views[view] += 1
    several = {patient: len(own.headers) for patient, own in patients.items() if own.may_be_of_several}
    others = [own for patient, own in patients.items() if patient not in several and own.are_repeated]
    if 2 * sum(len(own.headers) > 1 for own in others) > len(others):
        return {}
    return several
