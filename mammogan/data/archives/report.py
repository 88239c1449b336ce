"""The report of a scan: how many files were found and used, why others were left out, and the counts of labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.data.archives.base import Archive, Catalogue, Found
from mammogan.data.archives.candidates import Image
from mammogan.data.archives.constant_days import women_of_one_date
from mammogan.data.archives.copies import shared_uids
from mammogan.data.archives.exams import divided_studies, one_name
from mammogan.data.archives.labels import OPEN_TO_CHOICE
from mammogan.data.archives.numbered_files import numbered_uids
from mammogan.data.archives.regions import ARE_IN, RegionReport
from mammogan.data.archives.repeats import REPEATED
from mammogan.data.archives.same_woman import (
    both_labels,
    many_in_one,
    shared_header_patients,
    shared_header_studies,
)
from mammogan.data.archives.tables import UNKNOWN_CELL
from mammogan.data.cohort.breasts_apart import Shown
from mammogan.data.cohort.one_woman import one_woman_warnings
from mammogan.data.dicom.decoding.decodability import Decodability
from mammogan.data.dicom.reasons import explained
from mammogan.io.workbook import other_sheets
from mammogan.workspace import LABELS, SPLITS

SHOWN_CELLS = 5
"""How many kinds of cells that are not understood the report lists."""


@dataclass(frozen=True)
class ScanReport:
    """The numbers of a scan. ``counts`` (images) and ``patients`` are by split ("": not split yet) and label."""

    archive: Archive
    files: int
    used: int
    excluded: dict[str, int]
    counts: dict[tuple[str, str], int]
    patients: dict[tuple[str, str], int]
    label_sources: dict[str, int]
    doubts: dict[str, int]
    diagnosis: Decodability
    unmatched: int
    """Number of entries of the tables without a file."""
    other_files: int
    both_breasts: tuple[int, int]
    """Number of women with positive images of both breasts, and of all women with positive images."""
    notes: tuple[str, ...]
    """What else the user should look at."""
    unread_cells: dict[str, int]
    """What the tables have in cells that are not understood, by column; and the number of images."""
    repeats: dict[str, int]
    """Numbers of repeated images, by what decided which one is used."""
    closed: int
    """Number of folders that may not be entered."""
    out: Path
    excluded_list: Path
    regions: RegionReport | None = None
    """None: no lesion regions were found."""

    @classmethod
    def of(
        cls, archive: Archive, images: Sequence[Image], catalogue: Catalogue, found: Found, out: Path, excluded: Path
    ) -> ScanReport:
        """Count the images of a scan; ``out`` is the cohort table and ``excluded`` the list of excluded files."""
        used = [image for image in images if not image.reason]
        cells: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        positive: defaultdict[str, set[str]] = defaultdict(set)
        for image in used:
            cells[image.split, image.label].append(image.patient)
            if image.label == "positive":
                positive[image.patient].add(image.laterality)
        return cls(
            archive=archive,
            files=len(images),
            used=len(used),
            excluded=dict(Counter(image.reason for image in images if image.reason)),
            counts={cell: len(patients) for cell, patients in cells.items()},
            patients={cell: len(set(patients)) for cell, patients in cells.items()},
            label_sources=dict(Counter(image.entry.label_source for image in used if image.entry)),
            doubts=dict(Counter(doubt for image in used for doubt in image.doubts)),
            diagnosis=Decodability(Counter(image.header.syntax for image in used)),
            unmatched=len(set(catalogue.entries) - {image.key for image in images}),
            other_files=len(found.texts) + len(found.tables),
            both_breasts=(sum(len(sides) == 2 for sides in positive.values()), len(positive)),
            notes=(*_notes(images), *_unread_sheets(archive, found)),
            unread_cells=dict(Counter(i.detail for i in images if i.reason == UNKNOWN_CELL).most_common()),
            repeats=dict(Counter(i.detail for i in images if i.reason == REPEATED).most_common()),
            closed=len(found.closed),
            out=out,
            excluded_list=excluded,
        )

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report."""
        yield f"{self.files} files in, {self.used} used ({self.other_files} tables and texts beside them)"
        yield from self.why_excluded()
        if self.unmatched:
            where = ", or it lies in a folder that may not be entered" if self.closed else ""
            yield f"  {self.unmatched} entries of the tables have no file here{where}"
        for doubt, number in sorted(self.doubts.items()):
            yield f"  {number} used; {_doubt(doubt)}"
        yield "split       label      images  patients"
        for split in ("", *SPLITS):
            for label in LABELS:
                if any(cell[0] == split for cell in self.counts):
                    cell = split, label
                    yield f"{split or '-':<11} {label:<9} {self.counts.get(cell, 0):7d} {self.patients.get(cell, 0):9d}"
        yield "labels by " + ", ".join(f"{source} ({number})" for source, number in sorted(self.label_sources.items()))
        if self.used:
            yield from self.diagnosis.lines()
        if self.regions:
            yield from self.regions.lines()
        elif place := ARE_IN.get(self.archive.name):
            yield f"regions: no lesions were found; {self.archive.title} has them in {place}"
        yield from self.advice()
        yield f"written to {self.out} (private)"

    def why_excluded(self) -> Iterator[str]:
        """Yield one line for each reason why files were left out; no line if every file was used."""
        for code, number in sorted(self.excluded.items()):
            yield f"  {number} left out: {code}, {_explained(code)}"
            if code == UNKNOWN_CELL:
                yield from (f"    {images}: {cells}" for cells, images in list(self.unread_cells.items())[:SHOWN_CELLS])
            if code == REPEATED:
                yield from (f"    {images}: {why}" for why, images in self.repeats.items())
        if self.excluded:
            yield f"  which ones (private): {self.excluded_list}"

    def advice(self) -> Iterator[str]:
        """Yield notes on what the user should check before using the table."""
        labels = {label for (_, label), number in self.counts.items() if number}
        choices = [code.removeprefix("label_") for code in self.excluded if code.startswith("label_")]
        if missing := [label for label in LABELS if label not in labels]:
            take = " or ".join(f"--{name} {missing[-1]}" for name in sorted(choices))
            yield f"note: no {' and no '.join(missing)} images" + (
                f"; see whether {take} is right for you" if take else ""
            )
        yield from (f"note: {note}" for note in self.notes)
        both, women = self.both_breasts
        if women >= 4 and 2 * both > women:
            yield (
                f"note: {both} of {women} women are positive in both breasts; does the label describe the woman "
                "instead of the breast?"
            )


def _notes(images: Sequence[Image]) -> Iterator[str]:
    if shared := shared_header_patients(images):
        yield (
            f"{_number(shared, 'PatientID')} in headers under two or three patients of the tables: the same women? "
            "One woman under two identifiers can be in two splits"
        )
    if shared := shared_header_studies(images):
        yield (
            f"{_number(shared, 'StudyInstanceUID')} in headers under two or three patients of the tables: the same "
            "women? Exams of one patient were told apart by folder and UID together, and by dates"
        )
    if several := many_in_one(images):
        who = "1 patient of the tables has" if len(several) == 1 else f"{len(several)} patients of the tables have"
        yield (
            f"{who} many images of one view, whose headers have {max(several.values())} PatientIDs: several women, "
            "whose identifier is not known? Then give each of them one of her own, or take the rows away"
        )
    used = [(image.patient, image.laterality, image.view) for image in images if not image.reason]
    yield from one_woman_warnings([Shown(line, *image) for line, image in enumerate(used, 2)])  # of the new table
    if shared := shared_uids(images):
        yield (
            f"{_number(shared, 'SOPInstanceUID')} in several files whose pixels differ, so it says nothing; what is a "
            "copy is decided by the pixels"
        )
    if numbered := numbered_uids(images):
        yield (
            f"each of {numbered} files has a StudyInstanceUID of its own, although several have one woman, date and "
            "accession number, so it says nothing; date and number tell exams apart"
        )
    dates, with_them, women = women_of_one_date(images)
    if dates:
        which, so = ("one StudyDate stands", "it says") if dates == 1 else (f"{dates} StudyDates stand", "they say")
        yield (
            f"{which} on {with_them} of {women} women, of whom several have one view under several accession numbers "
            f"(or StudyIDs), so {so} nothing; these numbers tell exams apart"
        )
    repeats, women = one_name(images)
    if repeats:
        yield (
            f"the tables have one and the same name of an exam for most women, and {repeats} images of {women} women "
            "are left out as repeats by it; if it names no exam, empty the column study and scan again"
        )
    for what, by_number in (("dates", False), ("numbers", True)):
        studies, number, unknown = divided_studies(images, by_number)
        if studies:
            who = "1 study has" if studies == 1 else f"{studies} studies have"
            kinds = "accession numbers (or StudyIDs)" if by_number else what
            without = f". Of these, {unknown} have none, so their exam is not known, and they repeat no other"
            yield (
                f"{who} files of several {kinds}, so a StudyInstanceUID, or a folder, does not tell exams apart; the "
                f"{what} do, for {number} files that are used{without if unknown else ''}"
            )
    densities = Counter(i.entry.unread_density for i in images if i.entry and i.entry.unread_density and not i.reason)
    if densities:
        kinds = ", ".join(f"{why} ({number})" for why, number in densities.most_common(SHOWN_CELLS))
        yield (
            f"the density of {densities.total()} images that are used is not understood and left empty; no label "
            f"depends on it: {kinds}{', and others' if len(densities) > SHOWN_CELLS else ''}"
        )
    if breasts := both_labels(images):
        who = "1 breast is" if breasts == 1 else f"{breasts} breasts are"
        yield f"{who} positive and negative in one exam; do the labels describe the view?"


def _unread_sheets(archive: Archive, found: Found) -> Iterator[str]:
    for path in sorted({table.path for mark in archive.marks for table in found.matching(mark)}):
        if path.suffix.lower() == ".xlsx" and (others := other_sheets(path)):
            yield (
                f"only the first sheet of {path.name} was read, and {others} more {'has' if others == 1 else 'have'} "
                "cells; if rows of the archive are there, save all of them on one sheet"
            )


def _number(number: int, what: str) -> str:
    return f"1 {what} stands" if number == 1 else f"{number} {what}s stand"


def _explained(code: str) -> str:
    """Explain a code of reasons.py, or label_<finding>, which the user may choose to take."""
    finding = code.removeprefix("label_")
    if finding in OPEN_TO_CHOICE and finding != code:
        return f"{OPEN_TO_CHOICE[finding]}; --{finding} takes it"
    return explained(code)


def _doubt(doubt: str) -> str:
    """Explain a word of the column doubts."""
    if (reason := doubt.removeprefix("text_")) != doubt:
        return (
            f"the series' description may mean {explained(reason).partition(';')[0]}"
            f"{', or the paddle does by its description' if reason == 'spot_mag' else ''}, but a text that may be of "
            "the whole study leaves nothing out: look at some"
        )
    what = doubt.removesuffix("_disagrees")
    return f"table, header and file name disagree on the {what}, and the first of these counts"
