"""Read the scores that another system gave to exported images, and refuse tables that are not exactly about them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammogan.errors import MissingInput, UserError
from mammogan.evaluation.victims.export import ScoringKey
from mammogan.evaluation.victims.image_set import ImageSet
from mammogan.evaluation.victims.kept_scores import Floats
from mammogan.io import tables
from mammogan.io.atomic import sha256
from mammogan.io.own_files import file_exists

NAMES, VALUES = ("image", "file", "key"), ("probability", "score", "malignant_pred")
SHOWN = 8


@dataclass(frozen=True)
class ScoresFromOutside:
    """The scores of a system elsewhere, by neutral name."""

    name: str
    sha256: str
    """That of the table."""
    key: ScoringKey
    by_image: dict[str, float]
    path: Path

    def scores(self, images: ImageSet) -> Floats:
        """Return the scores of a set. Raise UserError if it was not exported, or was other images then."""
        if self.key.sets.get(images.name) != images.identity:
            was = "was not exported" if images.name not in self.key.sets else "has changed since it was exported"
            raise UserError(
                f"--victim-scores {self.name}={self.path}: the set of images {images.name!r} {was}; repeat "
                "--export-for-scoring with the same options as this command, and score the new files"
            )
        return np.array([self.by_image[self.key.name_of(images, key)] for key in images.keys], dtype=float)


def read_scores(name: str, path: Path, key_path: Path) -> ScoresFromOutside:
    """Read a table with the columns image (or file) and probability; other columns are ignored.

    Raise UserError, which names the rows, unless it has each exported image once, with a number from 0 to 1.
    """
    if not file_exists(key_path):
        raise MissingInput(f"{key_path} is not there, so nothing was exported: run --export-for-scoring first")
    if not path.is_file():
        raise MissingInput(f"--victim-scores {name}={path}: the table is not there")
    key = ScoringKey.read(key_path)
    lines = list(tables.read_lines(path))
    header = [cell.strip() for cell in lines[0].cells] if lines else []
    image, value = (_column(path, header, wanted) for wanted in (NAMES, VALUES))
    found: dict[str, float] = {}
    faults: list[str] = []
    for line in lines[1:]:
        row = tables.row_of(header, line)
        neutral, text = Path(row[image]).stem, row[value]
        fault = _fault(neutral, text, key, found)
        if fault:
            faults.append(f"line {line.number}: {fault}")
        else:
            found[neutral] = float(text)
    missing = sorted(set(key.images) - set(found)) if not faults else []
    faults += [f"{neutral} is missing" for neutral in missing]
    if faults:
        more = f" (and {len(faults) - SHOWN} more)" if len(faults) > SHOWN else ""
        raise UserError(
            f"{path}: expected each of the {len(key.images)} exported images once, with a probability from 0 to 1; "
            f"found {'; '.join(faults[:SHOWN])}{more}. Score exactly the files of the export, and repeat the command"
        )
    return ScoresFromOutside(name, sha256(path), key, found, path)


def _column(path: Path, header: list[str], wanted: tuple[str, ...]) -> str:
    there = [name for name in wanted if name in header]
    if not there:
        raise UserError(
            f"{path}: expected a column {' or '.join(wanted)} in its first line, found {', '.join(header) or 'nothing'}"
        )
    return there[0]


def _fault(neutral: str, text: str, key: ScoringKey, found: dict[str, float]) -> str:
    """Return what is wrong with a row; empty if nothing is."""
    if neutral not in key.images:
        return f"{neutral!r} was not exported"
    if neutral in found:
        return f"{neutral} is there twice"
    try:
        value = float(text)
    except ValueError:
        return f"{neutral} has no number but {text!r}"
    if math.isnan(value) or not 0 <= value <= 1:
        return f"{neutral} has {text}"
    return ""
