"""The folder of altered mammograms: which shard was made from which, by whom, and whether that still holds.

.done/<shard>.json is a shard's marker, written after it; index.json is written last: its presence means complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.attack.whole import WholeShard
from mammogan.config import LABELS, SPLITS, MissingInput, Resolution, UserError, Workspace
from mammogan.data.index import INDEX, SCHEMA, IndexedShard, ShardIndex
from mammogan.files import read_json, write_json
from mammogan.provenance import made_by
from mammogan.writers import remove_torn_of

Entry = dict[str, Any]
"""One shard of index.json, with direction, source_shard, source_shard_sha256 and generator beside what all have."""

DONE = ".done"
SETTINGS = {"alteration": 1, "rounding": "half to even"}
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
        entries = read_json(self.index)["shards"] if self.index.is_file() else []
        return [entry for entry in entries if entry["split"] == split]

    def command(self, split: str) -> str:
        wanted = "" if split == "test" else f" --split {split}"
        return f"  python launch/generate.py --workspace {self.workspace.root} --resolution {self.resolution}{wanted}"


def whole_shard(workspace: Workspace, resolution: Resolution, name: str, count: int) -> WholeShard:
    """A shard of real mammograms by its file name."""
    again = f"  python shards/make_shards.py --cohort labels.csv --workspace {workspace.root} --resolution {resolution}"
    return WholeShard(workspace.shards(resolution) / name, count, again)


def real_shards(workspace: Workspace, resolution: Resolution, split: str) -> list[IndexedShard]:
    """The real shards of one split, in the cohort's order within each label."""
    return [shard for shard in ShardIndex.load(workspace.shards(resolution)).shards if shard.split == split]


def pair_shards(workspace: Workspace, resolution: Resolution, split: str) -> list[ShardPair]:
    """Every real shard of a split with its altered one. UserError where the real one has changed since."""
    folder = AlteredFolder(workspace, resolution)
    altered = {entry["source_shard"]: entry for entry in folder.of_split(split)}
    pairs = []
    for real in real_shards(workspace, resolution, split):
        fake = altered.get(real.name)
        if fake and fake["source_shard_sha256"] != real.sha256:
            raise UserError(
                f"{fake['name']} was made from an earlier {real.name}; bring the altered mammograms up to date:\n"
                f"{folder.command(split)}"
            )
        altered_one = WholeShard(folder.path / fake["name"], real.count, folder.command(split)) if fake else None
        pairs.append(ShardPair(whole_shard(workspace, resolution, real.name, real.count), altered_one))
    return pairs


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
