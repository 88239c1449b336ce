"""Find what is recorded about phantoms: truth.json, from the paths in a workspace's cohort table. Nothing heavy is
imported.

Real mammograms have no truth.json, which is not an error.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.data.cohort.workspace_table import REMEDY, row_of, rows_by_key
from mammogan.data.phantom.origin import ALL_DRAWN_AGAIN, cohort_folder
from mammogan.data.phantom.settings import TRUTH_SCHEMA
from mammogan.io.atomic import file_version
from mammogan.io.own_files import file_exists
from mammogan.io.records import EVERY, DamagedRecord, Misfit, check_shape, parse_record

NUMBER = (int, float)
TRUTH_OF_IMAGE = {
    "file": str,
    "sha256": {EVERY: str},
    **dict.fromkeys(("mask?", "twin?"), (str, type(None))),
    "lesions": [dict.fromkeys(("row", "col", "radius_mm"), NUMBER)],
}
"""What truth.json has of an image that is used, with the types."""
DRAWN_AGAIN = "Delete it and repeat mammogan make-phantom with the same settings, which writes it again"


class PhantomRecord:
    """The records of the phantoms among the mammograms of a cohort table."""

    def __init__(self, cohort: Path) -> None:
        self._cohort = cohort
        self._rows = rows_by_key(cohort) if file_exists(cohort) else {}
        self._folders: dict[Path, Path | None] = {}
        self._truth_files: dict[Path, _TruthFile] = {}

    def image(self, key: str) -> tuple[dict[str, str], Path, dict[str, Any]] | None:
        """Return its row of the table, its phantom's folder, and its entry in truth.json; None if it has no known
        lesion. Raise UserError if truth.json is there and does not know it."""
        row = self._row(key)
        folder = self._folder(Path(row["path"]).parent) if row else None
        if row is None or folder is None:
            return None
        images, name = self._truth_file_in(folder).images, Path(row["path"]).stem
        if name not in images:
            raise DamagedRecord(self._cohort, f"{folder / 'truth.json'} knows no image of the path of {key}", REMEDY)
        known = images[name]
        return (row, folder, known) if known and known["lesions"] else None

    def sha256_of(self, keys: Iterable[str]) -> list[str]:
        """Return the sha256 of every truth.json that covers some of these samples; empty if none is a phantom."""
        parents = {Path(row["path"]).parent for key in keys if (row := self._row(key))}
        folders = {folder for parent in parents if (folder := self._folder(parent))}
        return sorted(self._truth_file_in(folder).sha256 for folder in folders)

    def _row(self, key: str) -> dict[str, str] | None:
        """Return a sample's row of the table; None if there is no table. Raise UserError if it lacks the sample."""
        return row_of(self._rows, key, self._cohort) if self._rows else None

    def _truth_file_in(self, folder: Path) -> _TruthFile:
        """Return the content of a folder's truth.json, read again if the file was rewritten."""
        path = folder / "truth.json"
        written = file_version(path)
        if folder not in self._truth_files or self._truth_files[folder].written != written:
            held = path.read_bytes()
            self._truth_files[folder] = _TruthFile(written, hashlib.sha256(held).hexdigest(), _images_of(path, held))
        return self._truth_files[folder]

    def _folder(self, folder: Path) -> Path | None:
        """Return the nearest folder, from ``folder`` upwards, that holds a phantom's truth.json."""
        if folder not in self._folders:
            self._folders[folder] = cohort_folder(folder, "truth.json")
        return self._folders[folder]


def _images_of(path: Path, content: bytes) -> dict[str, Any]:
    """Return the images of a truth.json. Raise UserError if it is damaged."""
    try:
        values = parse_record(content)
        if values.get("schema") != TRUTH_SCHEMA:
            why = "it is of an earlier version, which recorded no sha256 of its files"
            raise DamagedRecord(path, why, ALL_DRAWN_AGAIN)
        check_shape(values, {"images": {EVERY: TRUTH_OF_IMAGE}})
    except Misfit as error:
        raise DamagedRecord(path, str(error), DRAWN_AGAIN) from None
    images: dict[str, Any] = values["images"]
    return images


@dataclass(frozen=True)
class _TruthFile:
    """The content of a truth.json, with the version of the file."""

    written: tuple[int, ...]
    sha256: str
    images: dict[str, Any]


def phantom_record(cohort: Path) -> PhantomRecord:
    """Return the records for a cohort table, read once per process until the file changes."""
    return _phantom_record(cohort, file_version(cohort))


@functools.lru_cache(maxsize=1)
def _phantom_record(cohort: Path, version: tuple[int, ...]) -> PhantomRecord:
    return PhantomRecord(cohort)
