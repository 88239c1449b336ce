"""What people write in the place of a code of the cohort table: what of it a message may quote, and a scan reads."""

from __future__ import annotations

import re

SLIPS = re.compile(
    "left|right|both|[lr](cc|mlo)?|cc|mlo|ml|lm|xccl|fb|[a-d]|[0-4]|benign|malignant|cancer|normal|pos(itive)?|neg(ative)?|"
    "train(ing)?|val(id|idation)?|dev|holdout|test(ing)?|true|false|yes|no|unknown|n/?a|nan|none|null",
    re.IGNORECASE,
)
"""Only these are quoted: any other text may be somebody's name or number."""
READ_BY_A_SCAN = {
    "laterality": "l|r|left|right",
    "view": "cc|mlo|ml|lm|xccl|fb",
    "label": "positive|malignant|cancer|negative|normal|benign|unknown",
    "split": "train(ing)?|val(id|idation)?|dev|test(ing)?",
    "density": "[a-d]|[1-4]",
}
"""By column: what a table of one's own may hold for shards/scan.py, which writes the code that is meant."""


def quoted(value: str) -> str:
    """The cell where it is a known slip; of any other text its length."""
    if SLIPS.fullmatch(value):
        return repr(value)
    return f"a text of {len(value)} character{'s' * (len(value) > 1)}" if value else "an empty cell"


def is_read_by_a_scan(column: str, found: str) -> bool:
    """Whether a scan makes sense of a cell, given as ``quoted`` writes it."""
    words = READ_BY_A_SCAN.get(column)
    return bool(words and re.fullmatch(f"'({words})'", found, re.IGNORECASE))
