"""index.json of a folder of shards: what is in which tar, and where."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mammogan import files
from mammogan.config import MissingInput, Resolution, UserError

SCHEMA = 1
INDEX = "index.json"
R = TypeVar("R")


@dataclass(frozen=True)
class IndexedSample:
    """One sample; offsets are of the members' data in the tar, in bytes."""

    key: str
    patient: str
    pixels_offset: int
    pixels_size: int
    json_offset: int
    json_size: int


@dataclass(frozen=True)
class IndexedShard:
    """One tar of one split and label."""

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
    """Of index.json itself, which holds every shard's: it stands for all pixels."""

    @property
    def fingerprint(self) -> str:
        """One sha256 for all tars, whenever and by whatever version they were made."""
        return fingerprint((shard.name, shard.sha256) for shard in self.shards)

    def of_split(self, split: str) -> list[IndexedShard]:
        """The shards of one split, in the cohort's order within each label."""
        return [shard for shard in self.shards if shard.split == split]

    @classmethod
    def load(cls, folder: Path) -> ShardIndex:
        """Read ``folder``/index.json. Raises MissingInput when the folder is not finished."""
        path = folder / INDEX
        if not path.is_file():
            raise MissingInput(
                f"{folder}: no finished shards here; run python shards/make_shards.py --cohort labels.csv "
                f"--workspace {folder.parent.parent} --resolution {folder.name}"
            )
        values = files.read_json(path)
        return cls(
            folder=folder,
            kind=values["kind"],
            resolution=Resolution.parse(values["resolution"]),
            settings=values["settings"],
            settings_sha256=values["settings_sha256"],
            counts=values["counts"],
            excluded=tuple(values["excluded"]),
            shards=tuple(IndexedShard.from_json(shard) for shard in values["shards"]),
            sha256=files.sha256(path),
        )


def fingerprint(shards: Iterable[tuple[str, str]]) -> str:
    """One sha256 for all tars of a folder, by their names and sha256."""
    return hashlib.sha256(json.dumps(sorted(shards)).encode()).hexdigest()


def refuse_outside(name: str) -> None:
    """UserError for a shard that does not lie beside its index: who hands shards on must not choose what is read."""
    if Path(name).name != name or name in ("", ".."):
        raise UserError(f"index.json names a shard {name!r}; expected the name of a file beside it")


def with_places(sample: dict[str, Any]) -> dict[str, Any]:
    """A sample of index.json by today's names: while PNG was the only codec, its pixels lay at ``png_offset``."""
    return {name.replace("png_", "pixels_"): value for name, value in sample.items()}


def _known(cls: type[R], values: dict[str, Any]) -> R:
    """Build a dataclass from the values it knows; other kinds of shards have more."""
    return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})  # type: ignore[arg-type]
