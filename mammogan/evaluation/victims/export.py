"""Write images for a system that scores them elsewhere, under names that reveal nothing, and keep the key to them.

The folder may leave this machine. The key stays: WORKSPACE/private/scoring-<size>/key.json, mode 600.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mammogan.attack.dicom.object import Names, Picture, blinded_names
from mammogan.attack.dicom.object import encode as encode_dicom
from mammogan.data.dicom.placement import Placement, content
from mammogan.data.shards.codec import encode
from mammogan.data.shards.reader import Sample
from mammogan.errors import UserError
from mammogan.evaluation.victims.image_set import ImageSet, Pixels
from mammogan.io import tables
from mammogan.io.atomic import PRIVATE, replaced_atomically
from mammogan.io.own_files import file_exists
from mammogan.io.private import make_private_folder, read_private
from mammogan.io.records import DamagedRecord, Misfit, check_shape, parse_record, write_record
from mammogan.io.terminal import say, track
from mammogan.left_by_others import is_litter
from mammogan.workspace import Resolution, Workspace

Format = Literal["png", "dicom"]
SHAPE = {"secret": str, "sets": dict, "images": dict}
IMAGES = "images.csv"
COLUMNS = ("image", "file", "exam", "laterality", "view")
REAL = ("originals", "validation")
"""Names of the sets of real mammograms."""
SUFFIX: dict[Format, str] = {"png": ".png", "dicom": ".dcm"}


def key_file(workspace: Workspace, resolution: Resolution) -> Path:
    """Return the file that says which exported image is which."""
    return workspace.root / "private" / f"scoring-{resolution}" / "key.json"


@dataclass(frozen=True)
class ScoringKey:
    """What the neutral names stand for."""

    secret: str
    sets: dict[str, str]
    """Identity of each set's pixels, by name."""
    images: dict[str, dict[str, str]]
    """Set and key of the original, by neutral name."""

    @classmethod
    def read(cls, path: Path) -> ScoringKey:
        """Read the key. Raise UserError if it is damaged or others may read it."""
        try:
            values: dict[str, Any] = parse_record(read_private(path))
            check_shape(values, SHAPE)
        except Misfit as error:
            raise DamagedRecord(path, str(error), "Delete it and export again, under new names") from None
        return cls(values["secret"], values["sets"], values["images"])

    def name_of(self, images: ImageSet, key: str) -> str:
        """Return the neutral name of an image. It is the same at every export of the same pixels."""
        return _code(self.secret, "image", images.name, images.identity, key)


def _code(secret: str, *words: str) -> str:
    return hashlib.sha256("\0".join((secret, *words)).encode()).hexdigest()[:16]


def export_for_scoring(
    folder: Path, key_path: Path, sets: Sequence[ImageSet], file_format: Format = "png"
) -> ScoringKey:
    """Write every image of ``sets`` into ``folder``, with a table of them, and the key.

    Files that are there already are kept. Raise UserError if the folder holds something else than an export.
    """
    _check_folder(folder)
    make_private_folder(key_path.parent)
    secret = ScoringKey.read(key_path).secret if file_exists(key_path) else secrets.token_hex(16)
    key = ScoringKey(secret, {one.name: one.identity for one in sets}, {})
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    for images in sets:
        for sample in track(images.samples(), len(images), f"exporting {images.name}"):
            name = key.name_of(images, sample.key)
            key.images[name] = {"set": images.name, "key": sample.key}
            file = f"{name}{SUFFIX[file_format]}"
            if not file_exists(folder / file):
                made = "" if images.name in REAL else f"made adversarial for a test of classifiers: {images.name}"
                _write(folder / file, sample, blinded_names(name, secret), made, file_format)
            exam = _code(secret, "exam", images.name, sample.facts["patient"])
            rows.append((name, file, exam, sample.facts["laterality"], sample.facts["view"]))
    write_record(key_path, {"secret": secret, "sets": key.sets, "images": key.images}, PRIVATE)
    tables.write(folder / IMAGES, COLUMNS, sorted(rows))  # in the order of the names, which is none
    say(f"{len(rows)} images to score in {folder}; the key is {key_path}")
    return key


def _check_folder(folder: Path) -> None:
    expected = {*SUFFIX.values(), ".csv"}
    if folder.is_dir() and (
        other := sorted(p.name for p in folder.iterdir() if p.suffix not in expected and not is_litter(p.name))
    ):
        raise UserError(f"--export-for-scoring {folder}: expected a new folder, found {other[0]} in it; give another")


def _write(path: Path, sample: Sample, names: Names, made: str, file_format: Format) -> None:
    """Write an image without padding, as the scanner oriented it: what the system would get from the original file."""
    placement = Placement.from_json(sample.facts["placement"])
    shown = placement.canonical(content(sample.pixels, placement))  # a flip is its own inverse
    with replaced_atomically(path) as temporary:
        if file_format == "png":
            temporary.write_bytes(encode(np.ascontiguousarray(shown), "png"))
        else:
            temporary.write_bytes(_as_dicom(sample, shown, placement.scale != (1, 1), names, made))


def _as_dicom(sample: Sample, shown: Pixels, resampled: bool, names: Names, made: str) -> bytes:
    """Return a DICOM file. An adversarial one says so in its header, and nowhere else."""
    if not sample.facts["spacing_mm"]:
        raise UserError(
            f"{sample.key} has no pixel spacing, which a DICOM mammogram needs: export with --export-format png"
        )
    picture = Picture(shown, sample.facts["spacing_mm"], resampled, marked=False)
    return encode_dicom(picture, sample.facts, names, made)
