"""Write one shard that is open: its samples, and the rows that it leaves out."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import webdataset as wds

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.conversion.convert_image import Members
from mammogan.data.shards.codec import MEMBER, Codec


class OpenShard:
    """A shard that is being written: each row is added as a sample, or excluded with a reason that may be published."""

    def __init__(self, tar: wds.TarWriter, codec: Codec) -> None:
        self.tar, self.kind = tar, MEMBER[codec]
        self.patients: dict[str, str] = {}
        self.sources: dict[str, str] = {}
        self.copies: dict[str, str] = {}
        self.flags: dict[str, tuple[str, ...]] = {}
        self.excluded: list[dict[str, Any]] = []

    def add(self, row: Mammogram, members: Members, source_hmac: str) -> None:
        """Write a sample to the tar."""
        self.tar.write({"__key__": row.key, self.kind: members.pixels, "json": members.json})
        self.patients[row.key] = row.patient
        self.sources[row.key] = source_hmac
        if members.flags:
            self.flags[row.key] = members.flags

    def exclude(self, row: Mammogram, reason: str, source_hmac: str = "") -> None:
        """Record that a row has no sample, with the reason's code, and its pixels' hash if they are the reason."""
        if source_hmac:
            self.copies[row.key] = source_hmac
        self.excluded.append({"line": row.line, "key": row.key, "reason": reason})


def member_places(tar: Path) -> dict[str, dict[str, int]]:
    """Map each sample's key to the positions of its members in the tar, in bytes.

    They are pixels_offset, pixels_size, json_offset and json_size.
    """
    places: dict[str, dict[str, int]] = {}
    with tarfile.open(tar, "r:") as archive:
        for member in archive:
            key, _, kind = member.name.partition(".")
            kind = "pixels" if kind in MEMBER.values() else kind
            places.setdefault(key, {}).update({f"{kind}_offset": member.offset_data, f"{kind}_size": member.size})
    order = ("pixels_offset", "pixels_size", "json_offset", "json_size")
    return {key: {name: found[name] for name in order} for key, found in places.items()}
