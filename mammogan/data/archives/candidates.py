"""Collect for each file of an archive what header, tables and file name say, or the reason why it is left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header
from mammogan.data.archives.header import FREE_TEXTS, read_header
from mammogan.data.archives.views import clues_in_name
from mammogan.data.cohort.identifiers import MOST_PATIENTS
from mammogan.data.parallel.pool import Lost, in_order, processes
from mammogan.io.atomic import is_file
from mammogan.io.terminal import track

USED_VIEWS = ("CC", "MLO")
HEADER_BYTES = 200 << 20
"""Memory that one process needs to read headers, in bytes."""
PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
Clue = tuple[str, str]


@dataclass(frozen=True)
class Image:
    """One file of an archive. ``reason`` is empty if the image may be used; ``detail`` may quote the file."""

    path: PurePath
    header: Header
    entry: Entry | None = None
    key: str = ""
    patient: str = ""
    study: str = ""
    divided_study: str = ""
    """The UID or folder of several exams, which are told apart by their dates or numbers; empty if the study is
    believed."""
    divided_by_number: bool = False
    """No date tells these exams apart, but an AccessionNumber or StudyID does."""
    uid_of_file: bool = False
    """Its StudyInstanceUID only numbers the file and says nothing; date and number tell its exam."""
    constant_date: str = ""
    """A StudyDate that says nothing, because an anonymiser wrote it; the header no longer has it."""
    laterality: str = ""
    laterality_source: str = ""
    view: str = ""
    view_source: str = ""
    doubts: tuple[str, ...] = ()
    finding: str = ""
    label: str = ""
    split: str = ""
    reason: str = ""
    detail: str = ""

    def out(self, reason: str, detail: str = "") -> Image:
        """Return the image with the reason why it is left out; an earlier reason is kept."""
        return self if self.reason else replace(self, reason=reason, detail=detail)

    @property
    def study_of_table(self) -> str:
        """The exam by the archive's tables; empty if they name none."""
        return self.entry.study if self.entry else ""


def read_images(
    found: Found, archive: Archive, catalogue: Catalogue, jobs: int, seconds: float | None
) -> Iterator[Image]:
    """Yield every file that could be an image, in order, with its header, its entry, and its side and view; then every
    folder and table that cannot be read, because nobody knows what is in it.

    ``jobs`` 0 means one process for each core. ``seconds`` is the time limit for one header; None means no limit.
    """
    paths = [found.root / path for path in found.images]
    read = in_order(_header_of, paths, min(processes(jobs, HEADER_BYTES), len(paths)), seconds)
    headers = [_lost(one) if isinstance(one, Lost) else one for one in track(read, len(paths), "headers read")]
    for path, header in zip(found.images, _without_constant_series(found.images, headers), strict=True):
        yield _image(path, header, archive, catalogue)
    for path in found.closed:
        yield Image(path, Header(), reason="unreadable", detail="a folder that may not be entered")
    for path, why in found.unread:
        yield Image(path, Header(), reason="unreadable", detail=f"expected a table, found {why}")


def _header_of(path: Path) -> Header:
    if path.suffix.lower() in PACKED and is_file(path):
        return Header("packed")
    return read_header(path)


def _without_constant_series(paths: Sequence[PurePath], headers: Sequence[Header]) -> Iterator[Header]:
    """Yield the headers without each SeriesInstanceUID that stands in files of many folders: it says nothing."""
    folders: defaultdict[str, set[PurePath]] = defaultdict(set)
    for path, header in zip(paths, headers, strict=True):
        folders[header.series].add(path.parent)
    for header in headers:
        yield replace(header, series="") if len(folders[header.series]) > MOST_PATIENTS else header


def _lost(how: Lost) -> Header:
    return Header("timeout" if how.why == "timeout" else "decoder_crashed", how.detail)


def _image(path: PurePath, header: Header, archive: Archive, catalogue: Catalogue) -> Image:
    image = Image(path, header, reason=header.reason, detail=header.detail)
    if not _fits_a_table(path.as_posix()):
        image = image.out("bad_name")
    listed = catalogue.find(path, header)
    if listed is None:
        return _named_otherwise(image, archive).out("not_listed")
    key, entry = listed
    if image.reason in NOT_LOOKED_INTO:
        return replace(image, key=key)
    image = replace(image, key=key, entry=entry, finding=entry.finding, split=entry.split)
    image = _resolved(_named_otherwise(image, archive), archive)
    patient = entry.patient if archive.is_own or not entry.patient else f"{archive.name}:{entry.patient}"
    image = replace(image, patient=patient, study=entry.study or header.study or path.parent.as_posix())
    return _exclude_unusable(image, entry)


NOT_LOOKED_INTO = ("empty", "not_dicom", "unreadable", "damaged_header", "timeout", "decoder_crashed", "packed")
"""Reasons for which a file's header says nothing; the tables may still list the file."""


def _named_otherwise(image: Image, archive: Archive) -> Image:
    """Leave out an image by its description, if it is of this one image, and nothing else says that it is a plain view:
    no code, and not the view in the user's own table."""
    is_plain = archive.is_own and image.entry is not None and image.entry.view in USED_VIEWS
    if image.header.text_decides and not is_plain:
        return image.out(image.header.named, image.header.series_text)
    return image


def _fits_a_table(path: str) -> bool:
    """Return whether a CSV keeps the path unchanged: every character is printable, and no space is at either end."""
    return path == path.strip() and path.isprintable()


def _resolved(image: Image, archive: Archive) -> Image:
    """Fill in side and view, each from its most trusted source, and note in ``doubts`` if other sources disagree."""
    header, entry = image.header, image.entry
    named, with_folders = clues_in_name(image.path.name), clues_in_name("/".join(image.path.parts[-3:]))
    coded = [clue for clue in header.views if clue[0] not in FREE_TEXTS]
    texts = [clue for clue in header.views if clue[0] in FREE_TEXTS]  # they may name the study instead of the view
    in_tables = (entry.laterality, entry.view) if entry else ("", "")
    sides = _clues(("table", in_tables[0]), *header.lateralities, *_of_path(named[0], with_folders[0]))
    name, folders = _of_path(named[1], with_folders[1])
    views = _clues(("table", in_tables[1]), *coded, name, *texts, folders)
    if archive.ml_means_mlo:
        views = [(source, "MLO" if view == "ML" else view) for source, view in views]
    laterality, view = (sides or [("", "")])[0], (views or [("", "")])[0]
    doubts = [
        *(["laterality_disagrees"] if len({value for _, value in sides}) > 1 else []),
        *(["view_disagrees"] if len({value for _, value in views}) > 1 else []),
        *([f"text_{header.named}"] if header.named else []),
    ]
    return replace(
        image,
        laterality=laterality[1],
        laterality_source=laterality[0],
        view=view[1],
        view_source=view[0],
        doubts=tuple(doubts),
    )


def _clues(*clues: Clue) -> list[Clue]:
    return [clue for clue in clues if clue[1]]


def _of_path(name: str, with_folders: str) -> tuple[Clue, Clue]:
    """Return the clue of a file's own name and, only if that says nothing, the one of the folders above it."""
    return ("file_name", name), ("folder_name", "" if name else with_folders)


def _exclude_unusable(image: Image, entry: Entry) -> Image:
    if entry.excluded:
        image = image.out(entry.excluded, entry.why_excluded or "by the archive's table")
    if not entry.patient:
        image = image.out("no_patient")
    if not image.laterality:
        image = image.out("no_laterality")
    if not image.view:
        image = image.out("no_view")
    if image.view not in USED_VIEWS:
        image = image.out("view_excluded", f"{image.view}, by {image.view_source}")
    return image
