"""Read EMBED (Emory): one table of files and one of findings, joined on patient, exam and side.

Joining on the exam alone would give a cancer to both breasts. Pathology is often recorded only with the later
diagnostic exam, so exams of the following year are searched too. A side of L or R means that breast; B or an empty
cell means both.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header, TableSignature
from mammogan.data.archives.conflicts import checked, merge_rows
from mammogan.data.archives.days import days_of
from mammogan.data.archives.labels import Basis, Finding
from mammogan.data.archives.tables import Cells, tail
from mammogan.data.cohort.identifiers import refuse_other_spellings, refuse_two_spellings_of

FILES = TableSignature(
    "EMBED_OpenData_metadata.csv",
    frozenset({"empi_anon", "acc_anon", "anon_dicom_path", "finalimagetype", "imagelateralityfinal", "viewposition"}),
    needed=frozenset({"spot_mag"}),
)
FINDINGS = TableSignature(
    "EMBED_OpenData_clinical.csv",
    frozenset({"empi_anon", "acc_anon", "side", "asses", "path_severity"}),
    needed=frozenset({"bside", "study_date_anon"}),
)
KINDS = {"2d": "", "cview": "synthetic2d", "3d": "multiframe", "roi_ssc": "cad_or_sc", "roi_ss": "cad_or_sc"}
"""Reason for leaving an image out by finalimagetype; an empty cell leaves it to the header."""
CANCERS, BENIGN = (0, 1), (2, 3, 4, 5)
"""Values of path_severity: 0 invasive, 1 in situ; 2 high-risk, 3 borderline, 4 benign, 5 normal tissue. 6, a cancer of
another kind, is in neither group."""
ASSESSED_POSITIVE = {"biopsy": "", "birads5": "MK", "birads45": "SMK"}
"""Values of asses that count as positive, by basis. N and B are BI-RADS 1 and 2, A is 0, P, S, M and K are 3 to 6."""
FORWARD_DAYS = 365
DAY = "study_date_anon"
SIDES_MEANT = {"l": "L", "left": "L", "r": "R", "right": "R", "b": "LR", "both": "LR", "bilateral": "LR"}
ASSESSMENTS = {letter.lower(): letter for letter in "NBAPSMKX"}
"""X, of which no meaning is published, is no known assessment: it makes a breast uncertain."""


@dataclass(frozen=True)
class Report:
    """One row of the table of findings. ``sides`` are the sides of the assessment, ``path_sides`` of the pathology."""

    exam: str
    day: date | None
    sides: str
    path_sides: str
    assessment: str
    severity: int | None
    density: str
    unread: dict[str, str]
    unread_density: dict[str, str]


def read(found: Found, basis: Basis) -> Catalogue:
    """Read both tables. The keys are the last three path parts of a file; ``basis`` says which BI-RADS are cancer."""
    table = found.one(FINDINGS)
    days = days_of((row.get(DAY, "") for row in table.rows()), f"table {table.path.name}, {DAY}")
    reports: defaultdict[str, list[Report]] = defaultdict(list)
    for row in table.rows():
        reports[row.patient("empi_anon")].append(_report(row, days))
    women = {row.patient("empi_anon") for row in found.one(FILES).rows()}
    refuse_other_spellings(women, reports, f"empi_anon of the tables {FILES.usual_name} and {table.path.name}")
    rows = (row for mark in (FILES, FINDINGS) for row in found.one(mark).rows())
    exams = ((row.patient("empi_anon"), row.identifier("acc_anon")) for row in rows)
    where = f"acc_anon of the tables {FILES.usual_name} and {table.path.name}"
    refuse_two_spellings_of("exam of a woman", where, exams)
    entries = merge_rows(
        (tail(row["anon_dicom_path"], 3), _entry(row, reports[row.patient("empi_anon")], basis))
        for row in found.one(FILES).rows()
    )

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        key = tail(path.as_posix(), 3)
        return (key, entries[key]) if key in entries else None

    return Catalogue(entries, find)


def _report(row: Cells, days: Mapping[str, date | None]) -> Report:
    sides, exam = row.word("side", SIDES_MEANT, "LR"), row.identifier("acc_anon")
    if not exam:  # the finding may be one of any of her exams
        row.unread["acc_anon"] = ""
    return Report(
        exam=exam,
        day=row.read(DAY, days.get, None),
        sides=sides,
        path_sides=row.word("bside", SIDES_MEANT, sides),
        assessment=row.word("asses", ASSESSMENTS, ""),
        severity=row.whole("path_severity", range(7)),
        density=row.density("tissueden"),
        unread=row.unread,
        unread_density=row.unread_density,
    )


def _entry(row: Cells, reports: list[Report], basis: Basis) -> Entry:
    exam = row.identifier("acc_anon")
    side = row.side("imagelateralityfinal")
    finding, source = _finding(side, [one for one in reports if one.exam == exam], reports, basis)
    for report in reports:  # a finding that is not understood may be one of this breast
        row.unread |= report.unread
    if _has_undated_pathology(exam, reports):
        row.unread[DAY] = ""
    density = next((one.density for one in reports if one.exam == exam and one.density), "")
    for report in reports if not density else ():
        row.unread_density |= report.unread_density if report.exam == exam else {}
    entry = Entry(
        patient=row.patient("empi_anon"),
        study=exam,
        laterality=side,
        view=row["viewposition"].upper(),
        finding=finding,
        label_source=source,
        density=density,
        excluded=_excluded(row),
    )
    return checked(row, entry)


def _has_undated_pathology(exam: str, reports: Iterable[Report]) -> bool:
    """Return whether the woman has a pathology of which nobody knows if it is from the year after the exam."""
    days = [one.day for one in reports if one.exam == exam]
    others = [one.day for one in reports if one.exam != exam and one.severity is not None]
    return bool(days and others) and (days[0] is None or None in others)


def _excluded(row: Cells) -> str:
    reason = row.word("finalimagetype", KINDS, "")
    return reason or ("spot_mag" if row.yes("spot_mag") else "")


def _finding(side: str, own: list[Report], all_reports: list[Report], basis: Basis) -> tuple[Finding, str]:
    """Return the finding of one breast in one exam, and its source; ``own`` are the reports of this exam."""
    assessments = {one.assessment for one in own if side in one.sides}
    if not own or not side:
        return "unknown", "none"
    severities = set(_severities(side, own, all_reports))
    if severities & set(CANCERS):
        silent = assessments <= {"N", "B"}  # also without a row: this exam found nothing in this breast
        here = any(one.severity in CANCERS and side in one.path_sides for one in own)
        return ("interval" if silent and not here else "cancer"), "pathology"
    if assessments & set(ASSESSED_POSITIVE[basis]):
        return "cancer", "radiologist_birads"
    if severities & set(BENIGN):
        return "benign", "pathology"
    if assessments <= {"N", "B"} and not severities:  # a breast without findings has no row
        return "normal", "radiologist_birads" if assessments else "presumed"
    return ("recalled" if assessments <= {"N", "B", "A"} and not severities else "uncertain"), "radiologist_birads"


def _severities(side: str, own: list[Report], all_reports: Iterable[Report]) -> Iterator[int]:
    """Yield the path_severity values of the breast from this exam and from exams of the year after it."""
    exam, day = own[0].exam, own[0].day
    for one in all_reports:
        if one.severity is None or side not in one.path_sides:
            continue
        if one.exam == exam or (day and one.day and 0 <= (one.day - day).days <= FORWARD_DAYS):
            yield one.severity


ARCHIVE = Archive(
    name="embed",
    title="EMBED (Emory)",
    bases=("biopsy", "birads5", "birads45"),
    read=read,
    marks=(FILES, FINDINGS),
    layout=re.compile(r"(^|/)cohort_\d+/\d+/[\d.]+/[\d.]+\.dcm$"),
)
