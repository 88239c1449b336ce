"""The folder of altered mammograms: which shard was made from which, by whom, and whether that still holds.

.done/<shard>.json is a shard's marker, written after it; index.json is written last: its presence means complete.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.attack.whole import WholeShard
from mammogan.config import LABELS, SPLITS, MissingInput, Resolution, UserError, Workspace
from mammogan.data.index import INDEX, SCHEMA, IndexedShard, ShardIndex
from mammogan.files import read_json, version, write_json
from mammogan.provenance import made_by
from mammogan.writers import remove_torn_of

Entry = dict[str, Any]
"""One shard of index.json, with direction, source_shard, source_shard_sha256 and generator beside what all have."""

DONE = ".done"
SETTINGS = {"alteration": 2, "rounding": "half to even"}
"""How a fake is made besides its generator; ``alteration`` counts up when the same inputs give other pixels."""


@dataclass(frozen=True)
class ShardPair:
    """A shard of real mammograms and, where it was altered, the shard of its fakes in the same order."""

    real: WholeShard
    fake: WholeShard | None


@dataclass(frozen=True)
class AlteredFolder:
    """Altered mammograms of one resolution, of any splits and directions."""

    workspace: Workspace
    resolution: Resolution

    @property
    def path(self) -> Path:
        return self.workspace.adversarial(self.resolution)

    @property
    def index(self) -> Path:
        return self.path / INDEX

    def marker(self, name: str) -> Path:
        return self.path / DONE / f"{Path(name).stem}.json"

    def entry(self, name: str) -> Entry | None:
        """What its marker says of a finished shard; None when either is not there, or the tar is of another size."""
        if not self.marker(name).is_file():
            return None
        entry: Entry = read_json(self.marker(name))
        tar = self.path / name
        return entry if tar.is_file() and tar.stat().st_size == entry["bytes"] else None

    def entries(self) -> list[Entry]:
        """All finished shards, splits and directions apart, in order."""
        markers = sorted(self.path.glob(f"{DONE}/*.json"), key=_order)
        found = [self.entry(f"{marker.stem}.tar") for marker in markers]
        return [entry for entry in found if entry]

    def remove(self, name: str) -> None:
        """Take away a shard, its marker, and the index that names them."""
        for path in (self.index, self.marker(name), self.path / name):
            path.unlink(missing_ok=True)
            remove_torn_of(path)

    def write_index(self, shards: Sequence[Entry]) -> bool:
        """index.json of these shards; left alone, and False, when it says the same already."""
        if self.index.is_file() and read_json(self.index)["shards"] == list(shards):
            return False
        index = {
            "schema": SCHEMA,
            "kind": "adversarial",
            "resolution": str(self.resolution),
            "settings": SETTINGS,
            "settings_sha256": hashlib.sha256(json.dumps(SETTINGS, sort_keys=True).encode()).hexdigest(),
            "made_by": made_by(),
            "counts": _counts(shards),
            "excluded": [],
            "shards": list(shards),
        }
        remove_torn_of(self.index)
        write_json(self.index, index)
        return True

    def holds(self, split: str) -> bool:
        """Whether index.json is there and knows a shard of this split."""
        return bool(self._indexed(split))

    def of_split(self, split: str) -> list[Entry]:
        """Entries of one split. MissingInput when index.json is not there, or knows none."""
        found = self._indexed(split)
        if not found:
            raise MissingInput(f"no altered mammograms of split {split} in {self.path}; run\n{self.command(split)}")
        return found

    def _indexed(self, split: str) -> list[Entry]:
        if not self.index.is_file():
            return []
        return [entry for entry in _entries(self.index, version(self.index)) if entry["split"] == split]

    def command(self, split: str) -> str:
        objective = self.workspace.objective
        wanted = "" if split == "test" else f" --split {split}"
        wanted += "" if objective == "study" else f" --objective {objective}"
        return f"  python launch/generate.py --workspace {self.workspace.root} --resolution {self.resolution}{wanted}"


def whole_shard(workspace: Workspace, resolution: Resolution, name: str, count: int) -> WholeShard:
    """A shard of real mammograms by its file name."""
    again = f"  python shards/make_shards.py --cohort labels.csv --workspace {workspace.root} --resolution {resolution}"
    return WholeShard(workspace.shards(resolution) / name, count, again)


def pair_shards(index: ShardIndex, altered: AlteredFolder, split: str) -> list[tuple[IndexedShard, ShardPair]]:
    """Every real shard of a split, and with its altered one. UserError where the real one has changed since."""
    fakes, pairs = {entry["source_shard"]: entry for entry in altered.of_split(split)}, []
    for real in index.of_split(split):
        fake = fakes.get(real.name)
        if fake and fake["source_shard_sha256"] != real.sha256:
            raise UserError(
                f"{fake['name']} was made from an earlier {real.name}; bring the altered mammograms up to date:\n"
                f"{altered.command(split)}"
            )
        altered_one = WholeShard(altered.path / fake["name"], real.count, altered.command(split)) if fake else None
        real_one = whole_shard(altered.workspace, altered.resolution, real.name, real.count)
        pairs.append((real, ShardPair(real_one, altered_one)))
    return pairs


@functools.lru_cache(maxsize=4)
def _entries(index: Path, version: tuple[int, ...]) -> list[Entry]:
    """All in an index, read once however often it is asked for while it is the same file."""
    entries: list[Entry] = read_json(index)["shards"]
    return entries


def _order(marker: Path) -> tuple[int, str]:
    split, _, rest = marker.stem.partition("-")
    return SPLITS.index(split), rest


def _counts(shards: Sequence[Entry]) -> dict[str, dict[str, int]]:
    """Altered mammograms by split and by what they pretend to be."""
    return {
        split: {
            label: sum(s["count"] for s in shards if (s["split"], s["label"]) == (split, label)) for label in LABELS
        }
        for split in SPLITS
    }
