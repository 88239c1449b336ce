"""Check that shards agree with their index and that no patient is in two splits; faults are listed, not raised."""

from __future__ import annotations

import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mammogan.data.cohort.label_sources import SOURCES
from mammogan.data.dicom.header_facts import CLAIMS
from mammogan.data.shards.codec import MEMBER, codec_of
from mammogan.data.shards.facts import FACTS, fault_of
from mammogan.data.shards.index import IndexedSample, IndexedShard, ShardIndex
from mammogan.data.shards.reader import read_facts, read_pixels
from mammogan.data.shards.wids_index import wids_faults
from mammogan.errors import UserError
from mammogan.io import atomic
from mammogan.io.own_files import file_exists
from mammogan.io.records import Shape, read_record
from mammogan.io.terminal import track
from mammogan.left_by_others import ours_in
from mammogan.workspace import LABELS, SPLITS, Resolution

SETTINGS = {"resolution": str}
MARKER = {"settings_sha256": str, "shard": (dict, type(None)), "excluded": list}
"""What settings.json and a shard's marker have, with the types."""
OPTIONAL = {"density", "study", "clean_background", "header_patient", *CLAIMS, *SOURCES}


def verify(folder: Path) -> list[str]:
    """Return all faults of a folder of mammogram shards, as sentences that name shard and key; empty if there are none.

    Checks the index, sizes, checksums, members and their offsets, bit depth and shape of every image, the facts in
    every JSON, counts, tar files that are not in the index, patients and studies in two splits, and repeated source
    images.
    """
    try:
        index = ShardIndex.load(folder)
    except UserError as error:
        return [f"{folder}: {error}"]
    faults = list(_unindexed_tars(index)) + list(_wrong_counts(index))
    faults += record_faults(folder, SETTINGS, "settings.json")
    faults += wids_faults(index)
    faults += record_faults(folder / ".done", MARKER)
    facts: list[dict[str, Any]] = []
    for shard in track(index.shards, len(index.shards), f"shards {index.resolution} checked"):
        faults += _shard_faults(index, shard, facts)
    return faults + list(_leaks(facts))


def _unindexed_tars(index: ShardIndex) -> Iterator[str]:
    known = {shard.name for shard in index.shards}
    for tar in ours_in(index.folder, "*.tar"):
        if tar.name not in known:
            yield f"{tar.name}: not in index.json"


def record_faults(folder: Path, shape: Shape, names: str = "*.json") -> Iterator[str]:
    """Yield the faults of the JSON records in a folder; all should have this shape."""
    for path in ours_in(folder, names) if "*" in names else [folder / names]:
        try:
            if file_exists(path):
                read_record(path, shape)
        except UserError as error:
            yield str(error)


def _wrong_counts(index: ShardIndex) -> Iterator[str]:
    for split in SPLITS:
        for label in LABELS:
            held = sum(shard.count for shard in index.shards if (shard.split, shard.label) == (split, label))
            if index.counts[split][label] != held:
                yield f"index.json: counts {split} {label} {index.counts[split][label]}, its shards have {held}"
    for shard in index.shards:
        if shard.count != len(shard.samples):
            yield f"{shard.name}: index.json counts {shard.count} and lists {len(shard.samples)}"


def _shard_faults(index: ShardIndex, shard: IndexedShard, facts: list[dict[str, Any]]) -> Iterator[str]:
    tar = index.folder / shard.name
    if (place := atomic.place_of(tar)) != "file":
        yield f"{shard.name}: missing" if place == "nothing" else f"{shard.name}: cannot be read ({place})"
        return
    if tar.stat().st_size != shard.bytes:
        yield f"{shard.name}: {tar.stat().st_size} bytes, index.json says {shard.bytes}"
    if atomic.sha256(tar) != shard.sha256:
        yield f"{shard.name}: sha256 is not the one in index.json"
    yield from _member_faults(tar, shard, MEMBER[codec_of(index.settings)])
    with open(tar, "rb") as file:
        for sample in shard.samples:
            try:
                yield from _sample_faults(index, shard, sample, file, facts)
            except Exception as error:  # damaged bytes can raise any error; the next sample may be readable
                yield f"{shard.name}: {sample.key}: cannot be read: {type(error).__name__}: {error}"


def _member_faults(tar: Path, shard: IndexedShard, kind: str) -> Iterator[str]:
    """Compare the members of the tar with the index: names, offsets and sizes."""
    expected = {}
    for sample in shard.samples:
        expected[f"{sample.key}.json"] = (sample.json_offset, sample.json_size)
        expected[f"{sample.key}.{kind}"] = (sample.pixels_offset, sample.pixels_size)
    found = {}
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                found[member.name] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        yield f"{shard.name}: not a complete tar: {error}"
    for name in [*expected, *(name for name in found if name not in expected)]:
        if found.get(name) != expected.get(name):
            yield f"{shard.name}: {name}: at {found.get(name)}, index.json says {expected.get(name)}"


def _sample_faults(
    index: ShardIndex, shard: IndexedShard, sample: IndexedSample, file: BinaryIO, facts: list[dict[str, Any]]
) -> Iterator[str]:
    where = f"{shard.name}: {sample.key}"
    held = read_facts(file, sample)
    facts.append(held)
    for fault in facts_faults(held, index.resolution):
        yield f"{where}: {fault}"
    for name, value in {
        "key": sample.key,
        "patient": sample.patient,
        "split": shard.split,
        "label": shard.label,
    }.items():
        if held.get(name) != value:
            yield f"{where}: {name} is {held.get(name)!r} in its JSON, {value!r} in index.json"
    pixels = read_pixels(file, sample)
    if pixels.shape != (index.resolution.height, index.resolution.width):
        yield f"{where}: {pixels.shape[0]}x{pixels.shape[1]} pixels, expected {index.resolution}"
    if np.ptp(pixels) == 0:
        yield f"{where}: blank"


def facts_faults(held: dict[str, Any], resolution: Resolution) -> Iterator[str]:
    """Yield the faults of one JSON member. Unknown keys are faults, because they may contain private data."""
    for name in sorted(set(held) - set(FACTS)):
        yield f"key {name!r} is not allowed in the JSON"
    for name in FACTS:
        if name not in held and name not in OPTIONAL:
            yield f"{name} is missing in the JSON"
        elif fault := fault_of(held, name):
            yield f"{fault} in the JSON"
    for name, words in SOURCES.items():
        if name in held and held[name] not in words:
            yield f"{name} is none of {', '.join(words)} in the JSON"
    if held.get("y_cancer") != int(held.get("label") == "positive"):
        yield f"y_cancer is {held.get('y_cancer')} for label {held.get('label')}"
    placement = held.get("placement")
    if not isinstance(placement, dict) or placement.get("shape") != [resolution.height, resolution.width]:
        yield f"placement is not for {resolution}"


def _leaks(facts: list[dict[str, Any]]) -> Iterator[str]:
    """Yield patients and studies that are in more than one split, and source images that occur more than once."""
    splits: defaultdict[str, set[str]] = defaultdict(set)
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for held in facts:
        for kind in ("patient", "study"):
            if kind in held:
                splits[f"{kind} {held[kind]}"].add(str(held.get("split")))
        keys[str(held.get("source_hmac"))].append(str(held.get("key")))
    for who, found in splits.items():
        if len(found) > 1:
            yield f"leak: {who} is in {' and '.join(sorted(found))}"
    for same in keys.values():
        if len(same) > 1:
            yield f"leak: {' and '.join(same)} have the same source pixels"
