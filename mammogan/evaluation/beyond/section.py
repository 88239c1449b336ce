"""What a section of the page "Beyond Table 1" is: tables, one picture, and what they say and do not say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mammogan.evaluation.report.table_cells import Table


@dataclass(frozen=True)
class TitledTable:
    """A table with the line above it."""

    title: str
    table: Table


@dataclass(frozen=True)
class Section:
    """One section. ``values`` is everything of it for evaluation.json."""

    name: str
    title: str
    says: str
    says_not: str
    tables: Sequence[TitledTable]
    values: dict[str, Any]
    draw: Callable[[Path, str], None] | None = None
    """Draws the section's picture into a PNG file, with a note above it that says which phantoms were used."""
    caption: str = ""
    notes: Sequence[str] = field(default_factory=tuple)


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: no numpy types, and None for numbers that are not finite."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
