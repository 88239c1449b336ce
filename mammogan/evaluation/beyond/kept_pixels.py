"""Keep the images of an attack, so that an interrupted or repeated command does not make them again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammogan.evaluation.beyond.attack_sources import Source
from mammogan.evaluation.beyond.attacked import Attacked
from mammogan.evaluation.beyond.originals import Originals
from mammogan.io.atomic import replaced_atomically, sha256
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record, write_record
from mammogan.io.temporary import remove_abandoned_of

SHAPE = {"made_from": dict, "pixels_sha256": str, "made": [bool]}
REMEDY = "Delete it and repeat mammogan evaluate-deeper, which makes these images again"


@dataclass(frozen=True)
class KeptPixels:
    """A folder with the images of attacks: one .npy file and one record each."""

    folder: Path

    def of(self, source: Source, originals: Originals, split: str = "test") -> Attacked:
        """Return the images of an attack: read, if they were made from the same; made and kept otherwise. ``split`` is
        part of the file's name."""
        if not source.made_from:
            return source.make(originals)
        made_from = source.made_from | {"originals_sha256": originals.as_set.identity}
        stem = f"{split}-{source.name}".replace(" ", "-").replace(",", "")
        record, file = self.folder / f"{stem}.json", self.folder / f"{stem}.npy"
        if file_exists(record) and file_exists(file):
            kept = read_record(record, SHAPE, REMEDY)
            if kept["made_from"] == made_from and sha256(file) == kept["pixels_sha256"]:
                pixels = np.load(file)
                return Attacked(source.name, source.kind, originals, pixels, np.array(kept["made"], dtype=bool))
        attacked = source.make(originals)
        remove_abandoned_of(file)
        with replaced_atomically(file) as temporary, open(temporary, "wb") as opened:
            np.save(opened, attacked.pixels)
        made = [bool(one) for one in attacked.made]
        write_record(record, {"made_from": made_from, "pixels_sha256": sha256(file), "made": made})
        return attacked
