"""Manage the folder of adversarial mammograms: which shard was made from which, by what, and whether that is current.

.done/<shard>.json is the marker of a shard and is written after it. index.json is written last: if it is there, the
folder is complete.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from mammogan.attack.config import BASELINES, Background
from mammogan.data.shards.checked import CheckedShard
from mammogan.data.shards.index import INDEX, REMEDY, SCHEMA, SHARD, IndexedShard, ShardIndex, is_whole, read_index
from mammogan.data.shards.marked_folder import DONE, MarkedFolder
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import file_version
from mammogan.io.own_files import file_exists
from mammogan.io.provenance import made_by
from mammogan.io.records import DamagedRecord, Misfit, check_shape
from mammogan.io.shell import shell_word
from mammogan.workspace import LABELS, OBJECTIVES, SPLITS, Resolution, Workspace

Entry = dict[str, Any]
"""One shard of index.json: direction, source_shard, source_shard_sha256 and generator, in addition to the usual
fields."""

ENTRY = SHARD | {
    "direction": str,
    "source_shard": str,
    "source_shard_sha256": str,
    "generator": {"run": str, "checkpoint_sha256": str},
    "made_from": {"background?": str},
    "generator_shards_sha256?": (str, type(None)),
    "out_of_domain?": str,
}
"""What an entry has, with the types."""
BACKGROUNDS = get_args(Background)
MADE_AGAIN = "Delete it and repeat mammogan generate, which makes its shard again"
SETTINGS = {"alteration": 3, "rounding": "half to even"}
"""How adversarial pixels are made besides the generator. Increase ``alteration`` when the same inputs give other
pixels."""


@dataclass(frozen=True)
class ShardPair:
    """A shard of real mammograms and, if it exists, the shard of their adversarial images in the same order."""

    real: CheckedShard
    fake: CheckedShard | None


@dataclass(frozen=True)
class AdversarialFolder:
    """The adversarial mammograms of one resolution, of any splits and directions."""

    workspace: Workspace
    resolution: Resolution

    @property
    def path(self) -> Path:
        return self.workspace.adversarial(self.resolution)

    @property
    def index(self) -> Path:
        return self.path / INDEX

    @property
    def marked(self) -> MarkedFolder:
        """The markers of its shards, and its index."""
        return MarkedFolder(self.path / DONE, self.index, None, MADE_AGAIN)

    def entry(self, name: str) -> Entry | None:
        """Return the entry in a finished shard's marker; None if marker or tar is missing, or the tar has another
        size. Raise UserError if the marker is damaged."""
        entry: Entry | None = self.marked.read(name)
        if entry is None:
            return None
        marker = self.marked.marker(name)
        _check(marker, entry, MADE_AGAIN)
        if entry["name"] != name:
            raise DamagedRecord(marker, f"it is the record of {entry['name']}", MADE_AGAIN)
        return entry if is_whole(self.path / name, entry["bytes"]) else None

    def entries(self) -> list[Entry]:
        """Return the entries of all finished shards, in order of split, then direction, then number."""
        found = [self.entry(f"{name}.tar") for name in sorted(self.marked.names(), key=_order)]
        return [entry for entry in found if entry]

    def remove(self, name: str) -> None:
        """Delete a shard, its marker, and the index that lists them."""
        self.marked.remove(name, self.path / name)

    def write_index(self, shards: Sequence[Entry]) -> bool:
        """Write index.json for these shards. Return False, without writing, if it already lists exactly these."""
        if file_exists(self.index) and _entries(self.path, file_version(self.index)) == list(shards):
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
        self.marked.write_index(index)
        return True

    def holds(self, split: str) -> bool:
        """Return whether index.json exists and lists a shard of this split."""
        return bool(self._indexed(split))

    def of_split(self, split: str) -> list[Entry]:
        """Return the entries of one split. Raise MissingInput if index.json is missing or lists none."""
        found = self._indexed(split)
        if not found:
            raise MissingInput(f"no adversarial mammograms of split {split} in {self.path}; run\n{self.command(split)}")
        return found

    def _indexed(self, split: str) -> list[Entry]:
        if not file_exists(self.index):
            return []
        return [entry for entry in _entries(self.path, file_version(self.index)) if entry["split"] == split]

    def is_of_own_attack(self, split: str) -> bool:
        """Return whether the shards of this split were made by an attack of one's own, and not copied from others."""
        return any("attack_settings" in entry["made_from"] for entry in self._indexed(split))

    def command(self, split: str) -> str:
        objective = self.workspace.objective
        wanted = "" if split == "test" else f" --split {split}"
        wanted += option_of(objective)
        return (
            f"  mammogan generate --workspace {shell_word(self.workspace.root)} --resolution {self.resolution}{wanted}"
        )


def option_of(objective: str) -> str:
    """Return the option of mammogan generate that names an objective or an attack of your own; none for the study's."""
    if objective in OBJECTIVES:
        return "" if objective == "study" else f" --objective {objective}"
    return f" --attack {objective}" + ("" if objective in BASELINES else "=MODULE:CLASS")


def real_shard(workspace: Workspace, resolution: Resolution, name: str, planned: str) -> CheckedShard:
    """Return a shard of real mammograms, given its file name and the sha256 that it had when the work was planned.

    Raise UserError if the index lists another file by now.
    """
    folder = workspace.shards(resolution)
    indexed = ShardIndex.load(folder).shard(name)
    if indexed is None or indexed.sha256 != planned:
        raise UserError(f"{folder / name} has changed since this was planned; run the same command again")
    again = (
        f"  mammogan make-shards --cohort labels.csv --workspace {shell_word(workspace.root)} --resolution {resolution}"
    )
    return CheckedShard(folder / name, indexed, again)


def adversarial_shard(folder: AdversarialFolder, entry: Entry) -> CheckedShard:
    """Return a shard of adversarial mammograms, given its entry."""
    indexed = IndexedShard.from_json(entry)
    return CheckedShard(folder.path / indexed.name, indexed, folder.command(indexed.split))


def pair_shards(index: ShardIndex, adversarial: AdversarialFolder, split: str) -> list[tuple[IndexedShard, ShardPair]]:
    """Pair every real shard of a split with its adversarial shard, if any. Raise UserError if a real shard changed
    since."""
    fakes, pairs = {entry["source_shard"]: entry for entry in adversarial.of_split(split)}, []
    for real in index.of_split(split):
        fake = fakes.get(real.name)
        if fake and fake["source_shard_sha256"] != real.sha256:
            raise UserError(
                f"{fake['name']} was made from an earlier {real.name}; make it again:\n{adversarial.command(split)}"
            )
        made = adversarial_shard(adversarial, fake) if fake else None
        if made and made.count != real.count:
            raise made.damaged(f"and {real.name} has {real.count}")
        original = real_shard(adversarial.workspace, adversarial.resolution, real.name, real.sha256)
        pairs.append((real, ShardPair(original, made)))
    return pairs


@functools.lru_cache(maxsize=4)
def _entries(folder: Path, version: tuple[int, ...]) -> list[Entry]:
    """Return all entries of a folder's index, cached until the file changes. Raise UserError if it is damaged."""
    entries: list[Entry] = read_index(folder)["shards"]
    for entry in entries:
        _check(folder / INDEX, entry, REMEDY)
    return entries


def _check(path: Path, entry: Entry, remedy: str) -> None:
    """Raise UserError if an entry of the record in ``path`` is not understood."""
    try:
        check_shape(entry, ENTRY)
        if "/" in entry["generator"]["run"] or "\0" in entry["generator"]["run"]:
            raise Misfit(f"generator.run: expected a name, found {entry['generator']['run']!r}")
        if (background := entry["made_from"].get("background", BACKGROUNDS[0])) not in BACKGROUNDS:
            raise Misfit(f"made_from.background: expected {' or '.join(BACKGROUNDS)}, found {background!r}")
    except Misfit as error:
        raise DamagedRecord(path, str(error), remedy) from None
    IndexedShard.of_record(path, entry, remedy)


def _order(name: str) -> tuple[int, str]:
    split, _, rest = name.partition("-")
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS)), rest


def _counts(shards: Sequence[Entry]) -> dict[str, dict[str, int]]:
    """Count adversarial mammograms by split and by their new label."""
    return {
        split: {
            label: sum(s["count"] for s in shards if (s["split"], s["label"]) == (split, label)) for label in LABELS
        }
        for split in SPLITS
    }
