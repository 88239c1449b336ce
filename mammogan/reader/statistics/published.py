"""Cells of the paper's Table 3 that its text gives, to print beside one's own (Nature Communications 2021, 12:7281)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedCell:
    """Accuracy of one of the paper's readers in sessions 3 and 5, and the p that was printed."""

    reader: str
    shown: str
    images: str
    session3: float
    session5: float
    p: str


CELLS = (
    PublishedCell("R2", "fake", "positive-looking (inserted)", 0.53, 0.72, "<.01"),
    PublishedCell("R2", "fake", "negative-looking (removed)", 0.39, 0.32, ".13"),
    PublishedCell("R3", "fake", "negative-looking (removed)", 0.34, 0.59, "<.01"),
    PublishedCell("R4", "fake", "positive-looking (inserted)", 0.71, 0.67, ".13"),
    PublishedCell("R4", "fake", "negative-looking (removed)", 0.68, 0.84, "<.01"),
    PublishedCell("R5", "real", "all", 0.61, 0.65, ".09"),
)
"""Each is between sessions 3 and 5. The five readers recognised 29 to 71% of the fakes."""
SUMMARY = "The paper's five readers recognised 29% to 71% of the adversarial images."
