"""A tiny archive under construction: real DICOM files, and what a scan is expected to make of each."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from dicoms import breast, write_mammogram
from numpy.typing import NDArray
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset


@dataclass
class Miniature:
    """``expected``: by path relative to root, a label or a reason code."""

    root: Path
    expected: dict[str, str] = field(default_factory=dict)

    def image(self, name: str, expect: str, laterality: str = "L", view: str = "CC", **options: Any) -> Path:
        """Write one mammogram, different from all others, lying as its side does."""
        pixels = options.pop("pixels", None)
        if pixels is None:
            pixels = breast(seed=len(self.expected), bits=options.get("bits", 12))
        self.expected[name] = expect
        path = self.root / name
        stored = pixels if laterality == "L" else pixels[:, ::-1].copy()
        with disable_value_validation():  # archives write what the standard forbids
            return write_mammogram(path, stored, laterality, view, **options)

    def file(self, name: str, expect: str, content: bytes = b"nothing to see") -> Path:
        self.expected[name] = expect
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def table(
        self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]], separator: str = ",",
        encoding: str = "utf-8",
    ) -> Path:  # fmt: skip
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", newline="", encoding=encoding) as file:
            writer = csv.writer(file, delimiter=separator)
            writer.writerow(columns)
            writer.writerows(rows)
        return path

    @property
    def labels(self) -> dict[str, str]:
        return {name: found for name, found in self.expected.items() if found in ("positive", "negative")}

    @property
    def reasons(self) -> dict[str, str]:
        return {name: found for name, found in self.expected.items() if name not in self.labels}


Square = tuple[int, int, int, int]
"""First row and column and last row and column of a bright square."""


def with_lesions(pixels: NDArray[np.uint16], *squares: Square) -> NDArray[np.uint16]:
    """A darker copy of a picture, with squares as bright as its brightest pixel was."""
    drawn = pixels // 2
    for top, left, bottom, right in squares:
        drawn[top : bottom + 1, left : right + 1] = pixels.max()
    return drawn


def code(value: str, scheme: str = "SCT", meaning: str = "") -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
