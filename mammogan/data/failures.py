"""How many files may be left out before a conversion stops: a limit of the user's, and signs of a lost disk."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from mammogan.config import UserError
from mammogan.data.cohort import Mammogram
from mammogan.data.convert import Skipped
from mammogan.files import is_file

LOST_IN_A_ROW = 10
"""Files one after another that are gone, or not read in time: it is the disk, not the files."""


class TooMany(Exception):
    """Why a conversion stops before its end."""


def most_failures(text: str, files: int) -> int | None:
    """How many of ``files`` may be left out by '20' or '5%'; None, no limit, by ''."""
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%|(\d+)", text.strip())
    if not match or (match[1] and float(match[1]) > 100):
        raise UserError(f"--max-failures {text}: expected a number of files such as 20, or a share such as 5%")
    return int(match[2]) if match[2] else int(float(match[1]) / 100 * files)


@dataclass
class Failures:
    """Files left out, those of earlier runs too. Raises TooMany when one more is one too many."""

    most: int | None
    by_reason: Counter[str] = field(default_factory=Counter)
    lost_in_a_row: int = 0

    def check(self) -> None:
        total = self.by_reason.total()
        if self.most is not None and total > self.most:
            raise TooMany(f"stopped: {total} files are left out, and --max-failures allows {self.most}")

    def count(self, row: Mammogram, outcome: object) -> None:
        """Take note of what became of a row."""
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
    # The table was refused unless all its files were there.
    return outcome.code == "timeout" or (outcome.code == "unreadable" and not is_file(row.path))
