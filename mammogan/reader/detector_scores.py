"""What detectors that see only pixels found in the images of a reader study: a table beside the private key.

Beside the table stands its record, written last: the sha256 of the table, and which images were scored by whom. A table
that is cut, edited or of other images is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io import tables
from mammogan.io.atomic import PRIVATE, sha256
from mammogan.io.own_files import file_exists
from mammogan.io.records import DamagedRecord, read_record, write_record
from mammogan.reader.key import MIXED_SESSIONS, ReadingKey
from mammogan.reader.plan import ReadingPlan
from mammogan.reader.statistics.answers import Said

FILE, RECORD = "detectors.csv", "detectors.json"
COLUMNS = ("detector", "image", "log_odds")
SHAPE = {"table_sha256": str, "detectors": [str], "images": dict}
REMEDY = f"Remove {FILE} and {RECORD} and run mammogan detector-reading again, which writes them"
Sha256 = Mapping[str, str]
"""The sha256 of image files, by their names."""


@dataclass(frozen=True)
class DetectorScore:
    """How probable one detector finds it that one image is adversarial."""

    detector: str
    image: str
    """Name of the image's file in the reading folder."""
    log_odds: float

    @property
    def says(self) -> Said:
        """Return the more probable answer in the readers' words; a detector is never unsure."""
        return "not real" if self.log_odds > 0 else "real"


def images_to_score(plan: ReadingPlan, key: ReadingKey) -> Sha256:
    """Return the images of the mixed sessions."""
    mixed = {image.image for image in key.images if image.session in MIXED_SESSIONS}
    return {image.name: image.sha256 for image in plan.images if image.name in mixed}


def write_scores(folder: Path, scores: Sequence[DetectorScore], images: Sha256) -> None:
    """Write the scores of these ``images`` into the private folder of a reading, for its owner only."""
    table = folder / FILE
    tables.write(table, COLUMNS, [(s.detector, s.image, repr(s.log_odds)) for s in scores], PRIVATE)
    detectors = sorted({score.detector for score in scores})
    record = {"table_sha256": sha256(table), "detectors": detectors, "images": dict(images)}
    write_record(folder / RECORD, record, PRIVATE)


def read_scores(folder: Path, images: Sha256) -> tuple[DetectorScore, ...]:
    """Read the scores; none where no detector has read. Raise UserError if they are damaged or not of these
    ``images``."""
    table, record = folder / FILE, folder / RECORD
    if not file_exists(table) and not file_exists(record):
        return ()
    if not file_exists(table):
        raise DamagedRecord(record, f"its table {FILE} is missing", REMEDY)
    rows = _rows(table)
    if not file_exists(record):
        raise UserError(
            f"{table} has no record ({RECORD}): it was written by an earlier version, or interrupted, and cannot be "
            f"compared with the images. {REMEDY}"
        )
    kept = read_record(record, SHAPE, REMEDY)
    of_detector = {name: {row.image for row in rows if row.detector == name} for name in kept["detectors"]}
    if kept["images"] != images or any(found != set(images) for found in of_detector.values()):
        raise UserError(f"{table} has scores of other images than the {len(images)} of this study. {REMEDY}")
    if kept["table_sha256"] != sha256(table):
        raise DamagedRecord(table, f"it was changed after it was written ({RECORD} has another sha256)", REMEDY)
    return rows


def _rows(table: Path) -> tuple[DetectorScore, ...]:
    try:
        rows = [
            DetectorScore(row["detector"], row["image"], float(row["log_odds"])) for row in tables.read_own_csv(table)
        ]
    except (KeyError, ValueError) as error:
        raise DamagedRecord(table, f"it is no table of {', '.join(COLUMNS)} ({error})", REMEDY) from None
    if not rows:
        raise DamagedRecord(table, "it has no rows", REMEDY)
    return tuple(rows)
