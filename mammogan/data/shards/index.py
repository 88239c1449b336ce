"""Read index.json of a folder of shards, which lists the samples in each tar and their positions."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mammogan.errors import MissingInput, UserError
from mammogan.io import atomic
from mammogan.io.own_files import file_exists
from mammogan.io.records import DamagedRecord, Misfit, check_shape, read_record
from mammogan.io.shell import shell_word
from mammogan.workspace import LABELS, SPLITS, Resolution

SCHEMA = 1
INDEX = "index.json"
ADDITIONS = "additions"
"""Name of what was added to a cohort's first table, in the settings and in the index."""
SAMPLE = {
    "key": str,
    "patient": str,
    "pixels_offset": int,
    "pixels_size": int,
    "json_offset": int,
    "json_size": int,
}
SHARD = {"name": str, "split": str, "label": str, "count": int, "bytes": int, "sha256": str, "samples": [dict]}
SHAPE = {
    "kind": str,
    "resolution": str,
    "settings": dict,
    "settings_sha256": str,
    "counts": {"train": dict.fromkeys(LABELS, int)},
    "excluded": [dict],
    "shards": [SHARD],
}
"""What every index.json of shards has, with the types."""
REMEDY = (
    "Delete it and repeat the command that makes it (mammogan make-shards, or mammogan generate for adversarial "
    "mammograms), which lists the finished shards again"
)
KINDS = {"shards": "mammograms", "adversarial": "adversarial"}
"""Kind of the shards in a folder, by the beginning of its parent folder's name."""
SIZE = re.compile(r"\d+x\d+")
ADDITION = {"rows": int, "patients": int, "mammograms": int, "shards": [str]}
R = TypeVar("R")


@dataclass(frozen=True)
class IndexedSample:
    """One sample of a shard; offsets and sizes of its members' data in the tar are in bytes."""

    key: str
    patient: str
    pixels_offset: int
    pixels_size: int
    json_offset: int
    json_size: int


@dataclass(frozen=True)
class IndexedShard:
    """One shard: a tar file with samples of one split and one label."""

    name: str
    split: str
    label: str
    count: int
    bytes: int
    sha256: str
    samples: tuple[IndexedSample, ...]

    @classmethod
    def of_record(cls, path: Path, values: dict[str, Any], remedy: str) -> IndexedShard:
        """Read an entry of the record in ``path``. Raises UserError, which names it, if it is none."""
        try:
            return cls.from_json(values)
        except Misfit as error:
            raise DamagedRecord(path, str(error), remedy) from None

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> IndexedShard:
        """Read the entry of an index or a marker. Raises Misfit if it is none, UserError if it names another folder."""
        check_shape(values, SHARD)
        refuse_outside(values["name"])
        if values["split"] not in SPLITS or values["label"] not in LABELS:
            raise Misfit(f"{values['name']}: split {values['split']!r}, label {values['label']!r}")
        samples = [with_places(sample) for sample in values["samples"]]
        check_shape(samples, [SAMPLE], f"{values['name']}.samples")
        return _known(cls, {**values, "samples": tuple(_known(IndexedSample, sample) for sample in samples)})


@dataclass(frozen=True)
class Addition:
    """Rows that were added to the table after the first shards were made, with the shards that were made of them."""

    rows: int
    patients: int
    """Number of patients who were not there before."""
    mammograms: int
    shards: tuple[str, ...]


@dataclass(frozen=True)
class ShardIndex:
    """All shards of one resolution, in the cohort's order."""

    folder: Path
    kind: str
    resolution: Resolution
    settings: dict[str, Any]
    settings_sha256: str
    counts: dict[str, dict[str, int]]
    excluded: tuple[dict[str, Any], ...]
    shards: tuple[IndexedShard, ...]
    additions: tuple[Addition, ...]
    """What was added to the first table, in order."""
    sha256: str
    """sha256 of index.json itself. The index contains the sha256 of every shard, so this one covers all pixels."""

    @property
    def fingerprint(self) -> str:
        """One sha256 for all tars; it does not depend on when and by which version they were made."""
        return fingerprint((shard.name, shard.sha256) for shard in self.shards)

    def added_since(self, earlier: str | None) -> tuple[Addition, ...] | None:
        """Return what was added since the shards had the fingerprint ``earlier``; None if they never had it."""
        for number in range(len(self.additions), -1, -1):
            added = self.additions[number:]
            later = {name for addition in added for name in addition.shards}
            if earlier == fingerprint((s.name, s.sha256) for s in self.shards if s.name not in later):
                return added
        return None

    def of_split(self, split: str) -> list[IndexedShard]:
        """List the shards of one split, in the cohort's order within each label."""
        return [shard for shard in self.shards if shard.split == split]

    def damaged(self) -> list[str]:
        """List the shards whose file is missing or has another size."""
        return [shard.name for shard in self.shards if not is_whole(self.folder / shard.name, shard.bytes)]

    def shard(self, name: str) -> IndexedShard | None:
        """Return the shard with this file name; None if there is none."""
        return next((shard for shard in self.shards if shard.name == name), None)

    @classmethod
    def load(cls, folder: Path) -> ShardIndex:
        """Read ``folder``/index.json, once until it changes.

        Raises MissingInput when the folder is not finished, and UserError when the file is damaged or is of
        another folder.
        """
        path = folder / INDEX
        if not file_exists(path):
            raise MissingInput(
                f"{folder}: no finished shards here; run mammogan make-shards --cohort labels.csv "
                f"--workspace {shell_word(folder.parent.parent)} --resolution {folder.name}"
            )
        return _loaded(folder, atomic.file_version(path))


def read_index(folder: Path) -> dict[str, Any]:
    """Read the content of ``folder``/index.json. Raises UserError when it is damaged or is of another folder."""
    path = folder / INDEX
    values = read_record(path, SHAPE, REMEDY)
    expected = KINDS.get(folder.parent.name.partition("-")[0], values["kind"])
    if values["kind"] != expected or (SIZE.fullmatch(folder.name) and values["resolution"] != folder.name):
        raise DamagedRecord(path, f"it is the index of {values['kind']} shards at {values['resolution']}", REMEDY)
    return values


@functools.lru_cache(maxsize=4)
def _loaded(folder: Path, version: tuple[int, ...]) -> ShardIndex:
    path, values = folder / INDEX, read_index(folder)
    try:
        resolution = Resolution.parse(values["resolution"])
    except UserError as error:
        raise DamagedRecord(path, str(error), REMEDY) from None
    shards = tuple(IndexedShard.of_record(path, shard, REMEDY) for shard in values["shards"])
    return ShardIndex(
        folder=folder,
        kind=values["kind"],
        resolution=resolution,
        settings=values["settings"],
        settings_sha256=values["settings_sha256"],
        counts=values["counts"],
        excluded=tuple(values["excluded"]),
        shards=shards,
        additions=_additions(path, values.get(ADDITIONS, [])),
        sha256=atomic.sha256(path),
    )


def _additions(path: Path, values: Any) -> tuple[Addition, ...]:
    try:
        check_shape(values, [ADDITION], ADDITIONS)
    except Misfit as error:
        raise DamagedRecord(path, str(error), REMEDY) from None
    return tuple(_known(Addition, {**value, "shards": tuple(value["shards"])}) for value in values)


def is_whole(tar: Path, size: int) -> bool:
    """Return whether a tar is there and has the size, in bytes, that is recorded of it."""
    return file_exists(tar) and tar.stat().st_size == size


def fingerprint(shards: Iterable[tuple[str, str]]) -> str:
    """Compute one sha256 for all tars of a folder from their names and sha256."""
    return hashlib.sha256(json.dumps(sorted(shards)).encode()).hexdigest()


def refuse_outside(name: str) -> None:
    """Raise UserError for the name of a shard outside its index's folder.

    So an index from somebody else cannot make this program read any other file.
    """
    if Path(name).name != name or name in ("", ".."):
        raise UserError(f"index.json names a shard {name!r}; expected the name of a file beside it")


def with_places(sample: dict[str, Any]) -> dict[str, Any]:
    """Rename the fields of an older index.json: while PNG was the only codec, ``pixels_offset`` was ``png_offset``."""
    return {name.replace("png_", "pixels_"): value for name, value in sample.items()}


def _known(cls: type[R], values: dict[str, Any]) -> R:
    """Build a dataclass from the values of its own fields; other kinds of shards have more."""
    return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})  # type: ignore[arg-type]
