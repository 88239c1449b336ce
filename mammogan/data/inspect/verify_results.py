"""Check what was made from the shards: adversarial mammograms, their DICOM files, and scores; faults are listed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mammogan.data.inspect.verify import record_faults
from mammogan.data.shards.checked import CheckedShard
from mammogan.data.shards.index import INDEX, SHARD, ShardIndex
from mammogan.errors import UserError
from mammogan.io.atomic import sha256
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record
from mammogan.io.terminal import track
from mammogan.left_by_others import ours_in
from mammogan.workspace import SPLITS, Resolution, Workspace

FILE = {"file": str, "bytes": int, "sha256": str}
"""What the index of a folder of DICOM files says of each."""
SCORES = {"made_from": dict, "scores": [dict]}
AGAIN = "  mammogan generate"


def verify_results(workspace: Workspace, resolution: Resolution) -> list[str]:
    """Return all faults of the adversarial shards, DICOM files and scores of one resolution, as sentences that name the
    file; empty if there are none, or if nothing was made yet.

    Every byte of the shards and DICOM files is hashed, and every record is read.
    """
    faults: list[str] = []
    for objective in workspace.attacks():
        own = workspace.of(objective)
        faults += _adversarial_faults(own.adversarial(resolution))
        for split in SPLITS:
            faults += record_faults(own.scores(split) / str(resolution), SCORES)
            faults += record_faults(own.scores(split) / "controls" / str(resolution), SCORES)
    return list(dict.fromkeys(faults))


def _adversarial_faults(folder: Path) -> Iterator[str]:
    yield from record_faults(folder / ".done", SHARD)
    for dicom in ours_in(folder, "dicom*"):
        yield from record_faults(folder / ".done" / dicom.name, {"files": [FILE]})
        yield from _dicom_faults(dicom)
    try:
        if not file_exists(folder / INDEX):
            return
        index = ShardIndex.load(folder)
    except UserError as error:
        yield str(error)
        return
    for shard in track(index.shards, len(index.shards), f"shards {folder.parent.name} {folder.name} checked"):
        try:
            CheckedShard(folder / shard.name, shard, AGAIN).check()
        except (UserError, OSError) as error:
            yield str(error)
    for tar in sorted(set(ours_in(folder, "*.tar")) - {folder / shard.name for shard in index.shards}):
        yield f"{tar}: not in {INDEX}"


def _dicom_faults(folder: Path) -> Iterator[str]:
    """Yield the faults of a folder of DICOM files with an index; a blinded study's list is in its key, elsewhere."""
    try:
        if not file_exists(folder / INDEX):
            return
        files = read_record(folder / INDEX, {"files": [FILE]})["files"]
    except UserError as error:
        yield str(error)
        return
    for file in files:
        path = folder / Path(file["file"]).name
        try:
            if not file_exists(path):
                yield f"{path}: missing"
            elif sha256(path) != file["sha256"]:
                yield f"{path}: has changed since it was written (its sha256 is not the one in {INDEX})"
        except (UserError, OSError) as error:
            yield str(error)
    for path in sorted(set(ours_in(folder, "*.dcm")) - {folder / Path(file["file"]).name for file in files}):
        yield f"{path}: not in {INDEX}"
