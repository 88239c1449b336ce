"""Read index.json of a folder of shards, which lists the samples in each tar and their positions."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mammogan.errors import MissingInput, UserError
from mammogan.io import atomic
from mammogan.workspace import Resolution

SCHEMA = 1
INDEX = "index.json"
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
    def from_json(cls, values: dict[str, Any]) -> IndexedShard:
        refuse_outside(values["name"])
        return _known(
            cls, {**values, "samples": tuple(_known(IndexedSample, with_places(s)) for s in values["samples"])}
        )


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
    sha256: str
    """sha256 of index.json itself. The index contains the sha256 of every shard, so this one covers all pixels."""

    @property
    def fingerprint(self) -> str:
        """One sha256 for all tars; it does not depend on when and by which version they were made."""
        return fingerprint((shard.name, shard.sha256) for shard in self.shards)

    def of_split(self, split: str) -> list[IndexedShard]:
        """List the shards of one split, in the cohort's order within each label."""
        return [shard for shard in self.shards if shard.split == split]

    @classmethod
    def load(cls, folder: Path) -> ShardIndex:
        """Read ``folder``/index.json. Raises MissingInput when the folder is not finished."""
        path = folder / INDEX
        if not path.is_file():
            raise MissingInput(
                f"{folder}: no finished shards here; run mammogan make-shards --cohort labels.csv "
                f"--workspace {folder.parent.parent} --resolution {folder.name}"
            )
        values = atomic.read_json(path)
        return cls(
            folder=folder,
            kind=values["kind"],
            resolution=Resolution.parse(values["resolution"]),
            settings=values["settings"],
            settings_sha256=values["settings_sha256"],
            counts=values["counts"],
            excluded=tuple(values["excluded"]),
            shards=tuple(IndexedShard.from_json(shard) for shard in values["shards"]),
            sha256=atomic.sha256(path),
        )


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
