"""The report of a scan: how many files were found and used, why others were left out, and the counts of labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.data.archives.base import Archive, Catalogue, Found
from mammogan.data.archives.candidates import Image
from mammogan.data.archives.labels import OPEN_TO_CHOICE
from mammogan.data.dicom.decodability import Decodability
from mammogan.workspace import LABELS, SPLITS

MEANING = {
    "bad_name": "a path that a table cannot hold: not UTF-8, or a space at its end",
    "cad_or_sc": "a CAD report or a secondary capture",
    "colour": "a colour image",
    "duplicate": "the same SOPInstanceUID as another file, which is used",
    "duplicate_conflict": (
        "the SOPInstanceUID of a file that is used, of another patient or label: one of the two is wrong"
    ),
    "film": "digitised film; --allow-film takes it",
    "for_processing": "raw detector data; the FOR PRESENTATION image is used instead",
    "implant_displaced": "the implant pushed back",
    "multiframe": "tomosynthesis or several frames",
    "no_label": "the tables do not mention the breast",
    "no_laterality": "neither table, header nor file name says which breast",
    "no_patient": "no patient in the tables",
    "no_pixels": "no pixels in the file",
    "no_view": "neither table, header nor file name says which view",
    "not_dicom": "not a DICOM file",
    "not_full_image": "a cropped part or a lesion mask",
    "not_listed": "not in the archive's tables",
    "not_mg": "another modality than mammography",
    "packed": "a packed file; unpack it first",
    "reader_crashed": "reading its header crashed the process",
    "repeated_view": "another image of the same exam, side and view was preferred; --repeats all takes it",
    "sop_class": "another kind of DICOM object",
    "specimen": "a specimen",
    "split_conflict": "the patient is also in the official test part",
    "spot_mag": "a spot compression or magnification",
    "synthetic2d": "a view computed from tomosynthesis",
    "table_conflict": "the tables contradict each other about it",
    "timeout": "took too long to read",
    "too_small": "less than 64 pixels high or wide",
    "truncated": "shorter than its pixels",
    "unreadable": "a file or folder that cannot be read",
    "unreadable_header": "the header cannot be read",
    "view_excluded": "another view than CC and MLO",
    "view_modifier": "a modified view, such as rolled, tangential or of the axillary tail",
    **{f"label_{name}": f"{text}; --{name} takes it" for name, text in OPEN_TO_CHOICE.items()},
}


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
    out: Path
    excluded_list: Path

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
            out=out,
            excluded_list=excluded,
        )

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report."""
        yield f"{self.files} files in, {self.used} used ({self.other_files} tables and texts beside them)"
        yield from self.why_excluded()
        if self.unmatched:
            yield f"  {self.unmatched} entries of the tables have no file here"
        for doubt, number in sorted(self.doubts.items()):
            what = doubt.removesuffix("_disagrees")
            yield f"  {number} used; table, header and file name disagree on the {what}, and the first of these counts"
        yield "split       label      images  patients"
        for split in ("", *SPLITS):
            for label in LABELS:
                if any(cell[0] == split for cell in self.counts):
                    cell = split, label
                    yield f"{split or '-':<11} {label:<9} {self.counts.get(cell, 0):7d} {self.patients.get(cell, 0):9d}"
        yield "labels by " + ", ".join(f"{source} ({number})" for source, number in sorted(self.label_sources.items()))
        if self.used:
            yield from self.diagnosis.lines()
        yield from self.advice()
        yield f"written to {self.out} (private)"

    def why_excluded(self) -> Iterator[str]:
        """Yield one line for each reason why files were left out; no line if every file was used."""
        for code, number in sorted(self.excluded.items()):
            yield f"  {number} left out: {code}, {MEANING.get(code, 'see the list')}"
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
        both, women = self.both_breasts
        if women >= 4 and 2 * both > women:
            yield (
                f"note: {both} of {women} women are positive in both breasts; does the label describe the woman "
                "instead of the breast?"
            )
