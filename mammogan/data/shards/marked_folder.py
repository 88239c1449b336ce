"""A folder that is filled part by part (shards, DICOM files, scores), and the markers that say which are finished.

Each part is followed by its marker, a record of what it was made from, and all parts by the index that lists them. So a
part that has a marker is complete, and a folder that has its index too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.io.own_files import file_exists
from mammogan.io.records import Shape, read_record, write_record
from mammogan.io.temporary import remove_abandoned_of
from mammogan.left_by_others import ours_in

DONE = ".done"
"""Name of the folder of markers."""


@dataclass(frozen=True)
class MarkedFolder:
    """The markers and the index of a folder."""

    marks: Path
    """Folder of the markers."""
    index: Path | None
    """File that is written last; None if another file lists the parts."""
    shape: Shape
    """What a marker has."""
    remedy: str
    """What to do about a damaged marker."""

    @property
    def is_begun(self) -> bool:
        """Whether a part is finished."""
        return bool(ours_in(self.marks, "*.json"))

    def marker(self, name: str) -> Path:
        """Return the marker of a part, given by the name of its file."""
        return self.marks / f"{Path(name).stem}.json"

    def names(self) -> list[str]:
        """Return the names of the finished parts, without extension, sorted."""
        return sorted(marker.stem for marker in ours_in(self.marks, "*.json"))

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the marker of a part; None if it is not finished. UserError if the marker is damaged."""
        marker = self.marker(name)
        return read_record(marker, self.shape, self.remedy) if file_exists(marker) else None

    def finish(self, name: str, made: Mapping[str, Any], mode: int | None = None) -> None:
        """Write the marker of a part that is complete."""
        remove_abandoned_of(self.marker(name))
        write_record(self.marker(name), made, mode)

    def remove(self, name: str, *files: Path) -> None:
        """Delete the index, the marker of a part, and its files, in this order."""
        for path in ([self.index] if self.index else []) + [self.marker(name), *files]:
            path.unlink(missing_ok=True)
            remove_abandoned_of(path)

    def drop_others(self, names: Collection[str]) -> None:
        """Delete the markers of all parts but these: what they were made from is gone."""
        kept = {self.marker(name) for name in names}
        for leftover in set(ours_in(self.marks, "*.json")) - kept:
            leftover.unlink(missing_ok=True)

    def write_index(self, values: Mapping[str, Any], mode: int | None = None) -> None:
        """Write the index, last of all."""
        if self.index:
            remove_abandoned_of(self.index)
            write_record(self.index, values, mode)
