"""Wrong cells of the cohort table: which texts an error message may quote, and which ones mammogan scan understands."""

from __future__ import annotations

import re

QUOTABLE_WORDS = re.compile(
    "left|right|both|[lr](cc|mlo)?|cc|mlo|ml|lm|xccl|fb|[a-d]|[0-4]|benign|malignant|cancer|normal|pos(itive)?|neg(ative)?|"
    "train(ing)?|val(id|idation)?|dev|holdout|test(ing)?|true|false|yes|no|unknown|n/?a|nan|none|null",
    re.IGNORECASE,
)
"""Only these texts are quoted in a message: any other text may be the name or the number of a person."""
WORDS_SCAN_ACCEPTS = {
    "laterality": "l|r|left|right",
    "view": "[lr]?(cc|mlo)|ml|lm|xccl|fb",
    "label": "positive|malignant|cancer|negative|normal|benign|unknown",
    "split": "train(ing)?|val(id|idation)?|dev|test(ing)?",
    "density": "[a-d]|[1-4]",
}
"""By column: words that a user's own table may contain. mammogan scan reads them and writes the right code."""


NUMBERED = re.compile(r"'[01]'")
"""A label that is a number, as ``quoted`` writes it."""
NUMBERED_HINT = (
    "labels are words here, because some tables write 1 for cancer and others 0: replace the number of cancer by "
    "positive and the other one by negative"
)


def quoted(value: str) -> str:
    """Return the cell in quotes if it is one of ``QUOTABLE_WORDS``; for any other text, say only how long it is."""
    if QUOTABLE_WORDS.fullmatch(value):
        return repr(value)
    return f"a text of {len(value)} character{'s' * (len(value) > 1)}" if value else "an empty cell"


def is_read_by_a_scan(column: str, found: str) -> bool:
    """Return whether mammogan scan understands a cell; ``found`` is the cell as ``quoted`` writes it."""
    words = WORDS_SCAN_ACCEPTS.get(column)
    return bool(words and re.fullmatch(f"'({words})'", found, re.IGNORECASE))
