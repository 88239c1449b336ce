"""Write the index files of webdataset's wids, which gives other programs random access to the shards of a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mammogan.io.atomic import write_json
from mammogan.workspace import SPLITS

NAME = "wids-{}.json"


def write_wids_indexes(folder: Path, shards: Sequence[dict[str, Any]]) -> None:
    """Write wids-<split>.json for each split beside its ``shards``, which are entries of index.json."""
    for split in SPLITS:
        listed = [
            {"url": shard["name"], "nsamples": shard["count"], "filesize": shard["bytes"]}
            for shard in shards
            if shard["split"] == split
        ]
        content = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": split, "shardlist": listed}
        write_json(folder / NAME.format(split), content)
