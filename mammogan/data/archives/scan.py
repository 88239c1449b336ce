"""Scan an archive on disk: write its cohort table, and beside it the excluded files with reasons, and the regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mammogan.data.archives.base import Dataset, Found
from mammogan.data.archives.candidates import Image, read_images
from mammogan.data.archives.folder import look_into
from mammogan.data.archives.regions import write_regions
from mammogan.data.archives.registry import basis_of, recognise
from mammogan.data.archives.report import ScanReport
from mammogan.data.archives.selection import Selection, select
from mammogan.data.cohort.table import LESION_REGIONS
from mammogan.data.conversion.report import LONGEST_DETAIL
from mammogan.data.regions.region_file import read_beside, regions_beside
from mammogan.errors import UserError
from mammogan.io import atomic, terminal
from mammogan.io.disk_errors import try_writing
from mammogan.io.own_files import file_exists
from mammogan.io.tables import write

COLUMNS = (
    "path", "patient", "laterality", "view", "label", "split", "density",
    "study", "finding", "label_source", "laterality_source", "view_source", "doubts", LESION_REGIONS,
)  # fmt: skip
EXCLUDED_COLUMNS = ("path", "reason", "detail")


def scan(
    root: Path,
    out: Path,
    dataset: Dataset = "auto",
    tables: Sequence[Path] = (),
    selection: Selection | None = None,
    jobs: int = 0,
    seconds: float | None = 30.0,
    overwrite: bool = False,
) -> ScanReport:
    """Write ``out``, the table that mammogan make-shards reads, <out without .csv>.excluded.csv and, if the archive has
    lesion regions, <out without .csv>.regions.json; all mode 600.

    Only headers and masks are read, each within ``seconds`` (None: no limit); ``jobs`` 0 means one process for each
    core. Raises UserError if the archive is not recognised or lacks a table, or if no file can be used.
    """
    selection = selection or Selection()
    if jobs < 0 or (seconds is not None and seconds <= 0):
        raise UserError(f"--jobs {jobs} --seconds {seconds}: expected 0 (all cores) or more, and more than 0 seconds")
    _refuse_unwritable(out)
    file_exists(regions_beside(out))  # raises where something else is in its place, which can be mended at once
    if out.exists() and not overwrite:
        raise UserError(f"{out} is there already; give another --out, or --overwrite")
    found = look_into(root, tables)
    archive, why = recognise(found, dataset)
    basis = basis_of(archive, selection.policy)
    terminal.say(f"{archive.name}: {archive.title}, {why}; positive by {basis}")
    for table in found.tables if archive.is_own else ():
        read_beside(table.path)  # raises if the regions of an earlier scan are lost or damaged
    catalogue = archive.read(found, basis)
    read = list(read_images(found, archive, catalogue, jobs, seconds))
    images = select(read, archive, catalogue, selection, root)
    report = ScanReport.of(archive, images, catalogue, found, out, excluded_list(out))
    regions = write_regions(found, archive, images, out, jobs, seconds) if report.used else None
    _write(out, excluded_list(out), images, found, regions.by_film if regions else {})
    if not report.used:
        raise UserError("\n".join([f"no file under {root} can be used", *report.why_excluded(), *report.advice()]))
    return replace(report, regions=regions)


def _refuse_unwritable(out: Path) -> None:
    """Raise UserError if ``out`` cannot be written; checked first, because reading can take hours."""
    try:
        try_writing(out.parent)
    except OSError as error:
        raise UserError(
            f"--out {out} cannot be written: {error.strerror}; give one in a folder where you may write"
        ) from error


def excluded_list(out: Path) -> Path:
    """Return the path of the list of excluded files beside the cohort table ``out``."""
    return out.with_name(f"{out.stem}.excluded.csv")


def _write(out: Path, excluded: Path, images: Sequence[Image], found: Found, regions: Mapping[str, int]) -> None:
    """Write both tables. ``regions``: the number of lesion regions of each film that has some, by its path."""
    used = [image for image in images if not image.reason]
    is_empty = {"split": not any(image.split for image in used), LESION_REGIONS: not regions}
    columns = [name for name in COLUMNS if not is_empty.get(name)]
    if used:
        rows = ([_cell(image, name, out, found, regions) for name in columns] for image in used)
        write(out, columns, rows, atomic.PRIVATE)
    left_out = (
        [_path(image, out, found), image.reason, image.detail[:LONGEST_DETAIL]] for image in images if image.reason
    )
    write(excluded, EXCLUDED_COLUMNS, left_out, atomic.PRIVATE)


def _cell(image: Image, column: str, out: Path, found: Found, regions: Mapping[str, int]) -> str:
    entry = image.entry
    if column == LESION_REGIONS:
        return str(regions.get(image.path.as_posix(), ""))
    if column == "path":
        return _path(image, out, found)
    if column in ("density", "label_source"):
        return str(getattr(entry, column))
    if column == "study":  # image.study may be the file's folder, a substitute that serves only to find repeated views
        return (entry.study if entry else "") or image.header.study
    return ";".join(image.doubts) if column == "doubts" else str(getattr(image, column))


def _path(image: Image, out: Path, found: Found) -> str:
    """Return the path relative to the table's folder if the file is under it, so that both can be moved together."""
    path, folder = (found.root / image.path).absolute(), out.parent.absolute()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
