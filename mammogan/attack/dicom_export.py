"""Altered shards as DICOM files: planned, written shard by shard, resumed, listed.

``plan_dicom`` lists the tasks, one a shard; ``write_dicom`` does one and may be repeated; ``finish_dicom`` lists all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammogan.attack.adversarial import AlteredFolder, Entry, whole_shard
from mammogan.attack.dicom_folder import DicomFolder, StudyKey
from mammogan.attack.dicom_object import Picture, altered_names, blinded_names, contribution, encode
from mammogan.attack.generate import ShardTask
from mammogan.attack.mark import find_mark
from mammogan.attack.native import Originals
from mammogan.attack.settings import DicomConfig
from mammogan.attack.whole import WholeShard
from mammogan.config import UserError
from mammogan.data.placement import Placement, content
from mammogan.data.stream import Sample
from mammogan.files import written_beside
from mammogan.terminal import say, track

EXPORT = 2
"""Counts up when the same altered shard gives other files."""
File = tuple[str, bytes, Entry]
"""Name, content, and what the index tells of it."""
NO_SPACING = "no_spacing"
"""The original does not say how far apart its pixels are, which a mammography object has to."""

Pixels = NDArray[np.uint16]


@dataclass(frozen=True)
class DicomTask:
    """The files of one altered shard; small enough to be pickled for a cluster."""

    shard: ShardTask
    folder: DicomFolder

    @property
    def made_from(self) -> dict[str, Any]:
        """All that decides the files."""
        altered = self.shard.folder.entry(self.shard.name)
        return {
            "export": EXPORT,
            "altered_shard_sha256": altered["sha256"] if altered else "",
            "study": self.folder.key.id if self.folder.key else "",
        }

    def outdated(self) -> bool:
        """Whether the files have to be written."""
        entry = self.folder.entry(self.shard.name)
        return bool(self.shard.outdated()) or entry is None or entry["made_from"] != self.made_from


@dataclass(frozen=True)
class Shown:
    """An original and its altered counterpart as files shall show them: uint16 (h,w), turned as the scanner wrote them.

    ``spacing`` is mm a pixel (y, x); ``resampled``: it is not the scanner's.
    """

    real: Pixels
    fake: Pixels
    spacing: Sequence[float]
    resampled: bool


def plan_dicom(shards: Sequence[ShardTask], config: DicomConfig) -> list[DicomTask]:
    """One task for each shard to be altered; none when no DICOM is asked for. UserError before anything is written."""
    if not config.dicom:
        return []
    if config.blinded and len({task.resolution for task in shards}) > 1:
        raise UserError(f"--blinded {config.blinded} is the key of one resolution's files: name one --resolution")
    key = StudyKey(config.blinded) if config.blinded else None
    tasks = [DicomTask(task, DicomFolder(task.workspace, task.resolution, config.native, key)) for task in shards]
    for folder in dict.fromkeys(task.folder for task in tasks):
        folder.check()
        if config.native:
            Originals(folder.workspace)
    return tasks


def make_keys(tasks: Sequence[DicomTask]) -> None:
    """Draw the secret of a blinded study, which its files are named from, before the first is written."""
    for folder in dict.fromkeys(task.folder for task in tasks):
        if folder.key:
            folder.key.make(folder)


def write_dicom(task: DicomTask) -> bool:
    """Write one shard's files; False, and nothing is touched, when they are there and current."""
    shard, folder = task.shard, task.folder
    if not task.outdated():
        return False
    folder.remove(shard.name)
    originals = Originals(shard.workspace) if folder.native else None
    files, left_out = [], []
    for real, fake in track(_pairs(shard), shard.count, f"writing {shard.name} as DICOM"):
        shown = _shown(real, fake, originals)
        if shown is None:
            left_out.append({"key": fake.key, "reason": NO_SPACING})
        else:
            files += [_write(folder, *file) for file in _files(task, real, fake, shown)]
    if left_out:
        say(f"{shard.resolution}, {shard.name}: {len(left_out)} left out, their originals tell no pixel spacing")
    folder.finish_shard(
        shard.name, {"shard": shard.name, "made_from": task.made_from, "files": files, "left_out": left_out}
    )
    return True


def finish_dicom(tasks: Sequence[DicomTask]) -> None:
    """List all files that still match the altered shards; UserError when a task is not done."""
    if undone := [task.shard.name for task in tasks if task.outdated()]:
        raise UserError(f"not all shards are written as DICOM: {', '.join(undone)}; run the same command again")
    for folder in dict.fromkeys(task.folder for task in tasks):
        folder.drop_leftovers()
        if (count := folder.write_index()) is not None:
            say(f"{folder.complete}: {count} DICOM files in {folder.path}")


def _pairs(shard: ShardTask) -> Iterator[tuple[Sample, Sample]]:
    """Originals and fakes of a shard, in its order."""
    altered = AlteredFolder(shard.workspace, shard.resolution)
    reals = whole_shard(shard.workspace, shard.resolution, shard.source, shard.count)
    fakes = WholeShard(altered.path / shard.name, shard.count, altered.command(shard.split))
    for real, fake in zip(reals, fakes, strict=True):
        if fake.facts["source_key"] != real.key:
            raise fakes.damaged(f"{fake.key} where {real.key} was altered")
        yield real, fake


def _shown(real: Sample, fake: Sample, originals: Originals | None) -> Shown | None:
    """At the original's size or, without ``originals``, at the shard's without its padding; None without a spacing."""
    facts, placement = real.facts, Placement.from_json(real.facts["placement"])
    if not facts["source_spacing_mm"]:
        return None
    if originals:
        pair, spacing = originals.pair(real, fake), facts["source_spacing_mm"]
        return Shown(placement.canonical(pair.real), placement.canonical(pair.fake), spacing, False)
    # Flipping is its own inverse.
    before, after = (placement.canonical(content(sample.pixels, placement)) for sample in (real, fake))
    return Shown(before, after, facts["spacing_mm"], placement.scale != (1, 1))


def _files(task: DicomTask, real: Sample, fake: Sample, shown: Shown) -> Iterator[File]:
    if task.folder.key:
        yield from _blinded_files(task.folder.key, real, fake, shown)
    else:
        pixels = (task.shard.background, *map(str, task.shard.choosing.made_from.values()))
        yield _marked_file(real, fake, shown, (task.folder.name, str(EXPORT), *pixels))


def _marked_file(real: Sample, fake: Sample, shown: Shown, version: Sequence[str]) -> File:
    mark = find_mark(shown.real, real.facts["placement"]["flip_h"])
    picture = Picture(mark.burn(shown.fake), shown.spacing, shown.resampled, marked=True)
    held = encode(picture, real.facts, altered_names(fake.facts, version), contribution(fake.facts))
    name = f"SYNTHETIC_{fake.facts['direction']}-{real.key}.dcm"
    return name, held, _told(fake) | {"mark": mark.to_json()}


def _blinded_files(key: StudyKey, real: Sample, fake: Sample, shown: Shown) -> Iterator[File]:
    """Both without a mark, alike in all that a reader sees; which is altered stands in the header and in the key."""
    how = f"direction {fake.facts['direction']}"
    for sample, pixels, altered in ((fake, shown.fake, how), (real, shown.real, "")):
        code = key.code(sample.key)
        picture = Picture(pixels, shown.spacing, shown.resampled, marked=False)
        yield f"STUDY_{code}.dcm", encode(picture, real.facts, blinded_names(code, key.secret), altered), _told(sample)


def _told(sample: Sample) -> Entry:
    """What index or key tell of a mammogram."""
    facts = sample.facts
    altered = "source_key" in facts
    return {
        "altered": altered,
        "key": sample.key,
        "source_key": facts.get("source_key", sample.key),
        "source_label": facts.get("source_label", facts["label"]),
        "direction": facts.get("direction"),
        "split": facts["split"],
        "checkpoint_sha256": facts["generator"]["checkpoint_sha256"] if altered else None,
    }


def _write(folder: DicomFolder, name: str, held: bytes, told: Entry) -> Entry:
    with written_beside(folder.path / name) as temporary:
        temporary.write_bytes(held)
    return {"file": name, "bytes": len(held), "sha256": hashlib.sha256(held).hexdigest(), **told}
