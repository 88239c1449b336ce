"""An archive on disk to the cohort table, and beside it the list of what was left out and why."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from mammogan import files, terminal
from mammogan.config import UserError
from mammogan.data.archives.archive import Dataset, Found
from mammogan.data.archives.folder import look_into
from mammogan.data.archives.images import Image, read_images
from mammogan.data.archives.recognise import basis_of, recognise
from mammogan.data.archives.report import ScanReport
from mammogan.data.archives.selection import Selection, select
from mammogan.data.conversion_report import LONGEST_DETAIL

COLUMNS = (
    "path", "patient", "laterality", "view", "label", "split", "density",
    "study", "finding", "label_source", "laterality_source", "view_source", "doubts",
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
    """Write ``out``, the table that shards/make_shards.py reads, and <out without .csv>.excluded.csv; both mode 600.

    Headers alone are read, each in at most ``seconds`` (None: no limit); ``jobs`` 0: one process for each core. Raises
    UserError when the archive is not recognised or lacks a table, and when no file can be used.
    """
    asked = selection or Selection()
    if out.exists() and not overwrite:
        raise UserError(f"{out} is there already; give another --out, or --overwrite")
    if jobs < 0 or (seconds is not None and seconds <= 0):
        raise UserError(f"--jobs {jobs} --seconds {seconds}: expected 0 (all cores) or more, and more than 0 seconds")
    _refuse_unwritable(out)
    found = look_into(root, tables)
    archive, why = recognise(found, dataset)
    basis = basis_of(archive, asked.policy)
    terminal.say(f"{archive.name}: {archive.title}, {why}; positive by {basis}")
    catalogue = archive.read(found, basis)
    read = list(read_images(found, archive, catalogue, jobs, seconds))
    images = select(read, archive, catalogue, asked)
    report = ScanReport.of(archive, images, catalogue, found, out, excluded_list(out))
    _write(out, excluded_list(out), images, found)
    if not report.used:
        raise UserError("\n".join([f"no file under {root} can be used", *report.why_excluded(), *report.advice()]))
    return report


def _refuse_unwritable(out: Path) -> None:
    """Before hours of reading, not after them."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise UserError(
            f"--out {out} cannot be written: {error.strerror}; give one in a folder where you may write"
        ) from error


def excluded_list(out: Path) -> Path:
    return out.with_name(f"{out.stem}.excluded.csv")


def _write(out: Path, excluded: Path, images: Sequence[Image], found: Found) -> None:
    used = [image for image in images if not image.reason]
    has_split = any(image.split for image in used)
    columns = [name for name in COLUMNS if name != "split" or has_split]
    if used:
        _write_csv(out, columns, ([_cell(image, name, out, found) for name in columns] for image in used))
    left_out = (
        [_path(image, out, found), image.reason, image.detail[:LONGEST_DETAIL]] for image in images if image.reason
    )
    _write_csv(excluded, EXCLUDED_COLUMNS, left_out)


def _cell(image: Image, column: str, out: Path, found: Found) -> str:
    entry = image.entry
    if column == "path":
        return _path(image, out, found)
    if column in ("density", "label_source"):
        return str(getattr(entry, column))
    if column == "study":  # not the folder that stands for it where repeated views are looked for
        return (entry.study if entry else "") or image.header.study
    return ";".join(image.doubts) if column == "doubts" else str(getattr(image, column))


def _path(image: Image, out: Path, found: Found) -> str:
    """Relative to the table's folder where the file lies under it, so that both can be moved together."""
    path, folder = (found.root / image.path).absolute(), out.parent.absolute()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    # A file's name need not be UTF-8, nor what its header says.
    printable = text.getvalue().encode("utf-8", "backslashreplace").decode()
    files.write_text(path, printable, files.PRIVATE)
