"""Whoever looks at the facts of a sample names shard and key where they are damaged, and the shard where it is gone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL

from mammogan.attack.model_export.card import card
from mammogan.data.inspect.contact_sheet import draw_contact_sheet
from mammogan.data.inspect.near_duplicates import near_duplicates
from mammogan.data.inspect.preview import of_shard
from mammogan.data.inspect.same_women import same_women
from mammogan.data.shards.damage import DamagedSample
from mammogan.data.shards.index import IndexedSample, ShardIndex
from mammogan.data.shards.reader import ShardImages
from mammogan.errors import UserError
from mammogan.workspace import Workspace

SHARD = "train-positive-000000.tar"
READERS: dict[str, Callable[[ShardIndex], object]] = {
    "preview": lambda index: list(of_shard(index, SHARD)),
    "contact sheet": lambda index: draw_contact_sheet(index, index.folder / "sheet.png"),
    "model card": lambda index: card("x", {"kind": "cad"}, {}, None, index, None),
}
OTHERS: dict[str, Callable[[ShardIndex], object]] = {
    "same women": lambda index: list(same_women(index)),
    "near duplicates": near_duplicates,
    "training": lambda index: ShardImages(index.folder, "train", "positive")[0],
}


@pytest.fixture
def index(converted: Workspace, tmp_path: Path) -> ShardIndex:
    shutil.copytree(converted.root, tmp_path / "work")
    return ShardIndex.load(Workspace(tmp_path / "work").shards(SMALL))


def change(index: ShardIndex, member: Callable[[bytearray], object]) -> IndexedSample:
    """Change the JSON member of the first sample of a shard, keeping its size."""
    (at, *_), tar = index.shard(SHARD).samples, index.folder / SHARD  # type: ignore[union-attr]
    raw = bytearray(tar.read_bytes())
    held = raw[at.json_offset : at.json_offset + at.json_size]
    member(held)
    raw[at.json_offset : at.json_offset + at.json_size] = held
    tar.write_bytes(raw)
    return at


def invert(held: bytearray) -> None:
    held[10:18] = bytes(255 - byte for byte in held[10:18])


def rename(name: bytes) -> Callable[[bytearray], object]:
    def one_bit(held: bytearray) -> None:
        held[held.index(b'"' + name + b'"') + 1] ^= 1

    return one_bit


@pytest.mark.parametrize("reader", READERS)
def test_damaged_facts_are_named_by_shard_and_key(index: ShardIndex, reader: str) -> None:
    sound = (index.folder / SHARD).read_bytes()
    lacks = {"model card": b"synthetic"}.get(reader, b"view")
    for damage, told in ((invert, ""), (rename(lacks), lacks.decode())):
        (index.folder / SHARD).write_bytes(sound)
        READERS[reader](index)
        at = change(index, damage)
        with pytest.raises(DamagedSample, match=rf"{SHARD}: {at.key} is damaged .*{told}.*\n.*mammogan check-shards"):
            READERS[reader](index)


def no_list(held: bytearray) -> None:
    held[:] = json.dumps(json.loads(held) | {"flags": 3}, separators=(",", ":")).encode().ljust(len(held))


@pytest.mark.parametrize("reader", [*READERS, "same women"])
def test_a_fact_of_another_type_is_named_by_shard_and_key(index: ShardIndex, reader: str) -> None:
    at = change(index, no_list)
    with pytest.raises(DamagedSample, match=rf"{at.key} is damaged .*flags: expected a list, found a whole"):
        {**READERS, **OTHERS}[reader](index)


@pytest.mark.parametrize("reader", {**READERS, **OTHERS})
def test_a_shard_that_is_gone_is_named_with_what_to_do(index: ShardIndex, reader: str) -> None:
    (index.folder / SHARD).unlink()
    with pytest.raises(UserError, match=rf"{SHARD} is gone, .*\n.*mammogan check-shards"):
        {**READERS, **OTHERS}[reader](index)
