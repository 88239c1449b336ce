"""What detectors that see only pixels found in the images of a reader study: a table beside the private key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io import tables
from mammogan.io.atomic import PRIVATE
from mammogan.io.own_files import file_exists
from mammogan.reader.statistics.answers import Said

FILE = "detectors.csv"
COLUMNS = ("detector", "image", "log_odds")


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


def write_scores(folder: Path, scores: Sequence[DetectorScore]) -> None:
    """Write the scores into the private folder of a reading, for its owner only."""
    tables.write(folder / FILE, COLUMNS, [(s.detector, s.image, repr(s.log_odds)) for s in scores], PRIVATE)


def read_scores(folder: Path, images: set[str]) -> tuple[DetectorScore, ...]:
    """Read the scores; none where no detector has read. Raise UserError if they are not of these ``images``."""
    path = folder / FILE
    if not file_exists(path):
        return ()
    try:
        rows = [
            DetectorScore(row["detector"], row["image"], float(row["log_odds"])) for row in tables.read_own_csv(path)
        ]
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is no table of {', '.join(COLUMNS)} ({error}): {_again(path)}") from error
    of_detector = {name: {row.image for row in rows if row.detector == name} for name in {row.detector for row in rows}}
    if any(found != images for found in of_detector.values()):
        raise UserError(f"{path} has scores of other images than the {len(images)} of this study: {_again(path)}")
    return tuple(rows)


def _again(path: Path) -> str:
    return f"remove {path.name} and run mammogan detector-reading again"
