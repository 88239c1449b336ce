"""Stop a conversion that leaves out too many files: more than the user allows, or many in a row, as on a lost disk."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.conversion.convert_image import Skipped
from mammogan.errors import UserError
from mammogan.io.atomic import is_file

LOST_IN_A_ROW = 10
"""This many files in a row that are gone or not read in time mean that the disk is lost, not the files."""


class TooMany(Exception):
    """Raised to stop a conversion before its end; the message says why."""


def most_failures(text: str, files: int) -> int | None:
    """Parse --max-failures: '20' is a number of files, '5%' a share of ``files``, '' means no limit (None).

    Raises UserError for any other text.
    """
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%|(\d+)", text.strip())
    if not match or (match[1] and float(match[1]) > 100):
        raise UserError(f"--max-failures {text}: expected a number of files such as 20, or a share such as 5%")
    return int(match[2]) if match[2] else int(float(match[1]) / 100 * files)


@dataclass
class Failures:
    """Counts the files left out, including those of earlier runs; raises TooMany when a limit is reached."""

    most: int | None
    by_reason: Counter[str] = field(default_factory=Counter)
    lost_in_a_row: int = 0

    def check(self) -> None:
        """Raise TooMany when more files are left out than the user allows."""
        total = self.by_reason.total()
        if self.most is not None and total > self.most:
            raise TooMany(f"stopped: {total} files are left out, and --max-failures allows {self.most}")

    def count(self, row: Mammogram, outcome: object) -> None:
        """Count the outcome of a row. Raises TooMany."""
        if not isinstance(outcome, Skipped):
            self.lost_in_a_row = 0
            return
        self.by_reason[outcome.code] += 1
        self.lost_in_a_row = self.lost_in_a_row + 1 if _is_lost(row, outcome) else 0
        if self.lost_in_a_row == LOST_IN_A_ROW:
            raise TooMany(
                f"stopped: {LOST_IN_A_ROW} files one after another, which were there at the start, are gone or were "
                "not read in time. Is their disk still there? Is --file-seconds enough for it?"
            )
        self.check()


def _is_lost(row: Mammogram, outcome: Skipped) -> bool:
    # All files existed at the start, or the table would have been refused: a missing one was lost since then.
    return outcome.code == "timeout" or (outcome.code == "unreadable" and not is_file(row.path))
