"""Read the look-up tables of a header: modality LUT and VOI LUTs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

MOST_ENTRIES = 1 << 16


class LutInvalid(Exception):
    """Raised for a look-up table of the header that is not valid."""


@dataclass(frozen=True)
class Lut:
    """A look-up table (PS3.3 C.11.1.1): ``first`` is its lowest input, ``top`` the largest output it declares."""

    table: NDArray[np.float64]
    first: int
    top: float

    def look_up(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the table's outputs; values outside its range get its first or last entry."""
        index = np.clip(np.rint(values) - self.first, 0, len(self.table) - 1).astype(np.intp)
        found: NDArray[np.float64] = self.table[index]
        return found


def read_lut(header: Dataset, keyword: str, chosen: int = 0) -> Lut:
    """Read one LUT of a sequence. Raises LutInvalid when it is not valid."""
    try:
        item = header[keyword].value[chosen]
        entries, first, bits = (int(part) for part in item.LUTDescriptor)
        data = item.LUTData
        if isinstance(data, bytes):
            words = ">u2" if header.original_encoding[1] is False else "<u2"
            data = np.frombuffer(data, words if len(data) >= 2 * (entries or MOST_ENTRIES) else np.uint8)
        table = np.asarray(data, float)[: entries or MOST_ENTRIES]
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise LutInvalid(repr(error)) from error
    if not table.size or not 1 <= bits <= 16:
        raise LutInvalid(f"{table.size} entries of {bits} bits")
    return Lut(table, first, float((1 << bits) - 1))
