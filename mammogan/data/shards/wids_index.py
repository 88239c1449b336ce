"""Write the index files of webdataset's wids, which gives other programs random access to the shards of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mammogan.data.shards.index import ShardIndex
from mammogan.errors import UserError
from mammogan.io.atomic import write_json
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record
from mammogan.workspace import SPLITS

NAME = "wids-{}.json"
AGAIN = "Delete it and index.json, and repeat mammogan make-shards, which writes both again"


def write_wids_indexes(folder: Path, shards: Sequence[dict[str, Any]]) -> None:
    """Write wids-<split>.json for each split beside its ``shards``, which are entries of index.json."""
    for split in SPLITS:
        write_json(folder / NAME.format(split), _content(split, shards))


def wids_faults(index: ShardIndex) -> Iterator[str]:
    """Yield the faults of the files that are there, which other programs read: they must list what index.json lists."""
    shards = [vars(shard) for shard in index.shards]
    for split in SPLITS:
        path = index.folder / NAME.format(split)
        try:
            if file_exists(path) and read_record(path, None, AGAIN) != _content(split, shards):
                yield f"{path.name}: does not list the shards of index.json. {AGAIN}"
        except UserError as error:
            yield str(error)


def _content(split: str, shards: Sequence[dict[str, Any]]) -> dict[str, Any]:
    listed = [
        {"url": shard["name"], "nsamples": shard["count"], "filesize": shard["bytes"]}
        for shard in shards
        if shard["split"] == split
    ]
    return {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": split, "shardlist": listed}
