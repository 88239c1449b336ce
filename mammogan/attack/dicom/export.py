"""Write adversarial shards as DICOM files: plan, write shard by shard, resume, and list the files.

``plan_dicom`` lists the tasks, one per shard; ``write_dicom`` executes one and can be repeated; ``finish_dicom`` writes
the index or the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammogan.attack.dicom.dicom_task import EXPORT, DicomTask
from mammogan.attack.dicom.folder import DicomFolder, StudyKey
from mammogan.attack.dicom.native import Originals
from mammogan.attack.dicom.object import Picture, adversarial_names, blinded_names, contribution, encode, text_in_pixels
from mammogan.attack.dicom.watermark import find_mark
from mammogan.attack.folder import AdversarialFolder, Entry, adversarial_shard, real_shard
from mammogan.attack.shard_task import ShardTask
from mammogan.attack.signature import SigningKey
from mammogan.data.dicom.placement import Placement, content
from mammogan.data.shards.reader import Sample
from mammogan.errors import UserError
from mammogan.io.atomic import replaced_atomically
from mammogan.io.terminal import say, track

File = tuple[str, bytes, Entry]
"""File name, content, and its entry in the index."""
NO_SPACING = "no_spacing"
"""Reason for leaving a mammogram out: its original has no pixel spacing, which a DICOM mammography object must have."""
UNKNOWN = "unknown"

Pixels = NDArray[np.uint16]


@dataclass(frozen=True)
class DisplayedPair:
    """An original and its adversarial counterpart as the files show them: uint16 (h,w), oriented as the scanner stored
    them.

    ``spacing`` is in mm per pixel (y, x). ``resampled``: the pixel grid is not the scanner's.
    """

    real: Pixels
    fake: Pixels
    spacing: Sequence[float]
    resampled: bool


def write_dicom(task: DicomTask) -> bool:
    """Write the files of one shard. Return False, and change nothing, if they exist and are current."""
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
    unknown = sum(file["text_in_pixels"] == UNKNOWN for file in files)
    if unknown:
        say(f"{shard.resolution}, {shard.name}: of {unknown} files nobody knows whether text is burnt into them")
    if left_out:
        say(f"{shard.resolution}, {shard.name}: {len(left_out)} left out: their originals give no pixel spacing")
    folder.finish_shard(
        shard.name, {"shard": shard.name, "made_from": task.made_from, "files": files, "left_out": left_out}
    )
    return True


def finish_dicom(tasks: Sequence[DicomTask]) -> None:
    """List all files that still match the adversarial shards. Raise UserError if a task is not done."""
    if undone := [task.shard.name for task in tasks if task.outdated()]:
        raise UserError(f"not all shards are written as DICOM: {', '.join(undone)}; run the same command again")
    for folder in dict.fromkeys(task.folder for task in tasks):
        folder.drop_leftovers()
        if (count := folder.write_index()) is not None:
            say(f"{folder.complete}: {count} DICOM files in {folder.path}")


def _pairs(shard: ShardTask) -> Iterator[tuple[Sample, Sample]]:
    """Yield each original of a shard with its adversarial mammogram, in order."""
    folder = AdversarialFolder(shard.workspace, shard.resolution)
    reals = real_shard(shard.workspace, shard.resolution, shard.source, shard.source_sha256)
    entry = folder.entry(shard.name)
    if entry is None:
        raise UserError(f"{folder.path / shard.name} is not made yet; run\n{folder.command(shard.split)}")
    fakes = adversarial_shard(folder, entry)
    fakes.check()  # before the first file is written: the pass below notices a changed byte at its end only
    for real, fake in zip(reals, fakes, strict=True):
        if fake.facts["source_key"] != real.key:
            raise fakes.damaged(f"found {fake.key} where the adversarial version of {real.key} belongs")
        yield real, fake


def _shown(real: Sample, fake: Sample, originals: Originals | None) -> DisplayedPair | None:
    """Return the pixels to write; None if the original has no pixel spacing.

    With ``originals`` they have the original's size, otherwise the shard's without its padding.
    """
    facts, placement = real.facts, Placement.from_json(real.facts["placement"])
    if not facts["source_spacing_mm"]:
        return None
    if originals:
        pair, spacing = originals.pair(real, fake), facts["source_spacing_mm"]
        return DisplayedPair(placement.canonical(pair.real), placement.canonical(pair.fake), spacing, False)
    # canonical() also restores the scanner's orientation, because a flip is its own inverse.
    before, after = (placement.canonical(content(sample.pixels, placement)) for sample in (real, fake))
    return DisplayedPair(before, after, facts["spacing_mm"], placement.scale != (1, 1))


def _files(task: DicomTask, real: Sample, fake: Sample, shown: DisplayedPair) -> Iterator[File]:
    signing = SigningKey.of(task.shard.workspace)
    if task.folder.key:
        yield from _blinded_files(task.folder.key, real, fake, shown, signing)
    else:
        pixels = (task.shard.background, *map(str, task.shard.choosing.made_from.values()))
        yield _marked_file(real, fake, shown, (task.folder.name, str(EXPORT), *pixels), signing)


def _marked_file(real: Sample, fake: Sample, shown: DisplayedPair, version: Sequence[str], signing: SigningKey) -> File:
    mark = find_mark(shown.real, real.facts["placement"]["flip_h"])
    picture = Picture(mark.burn(shown.fake), shown.spacing, shown.resampled, marked=True)
    held = encode(picture, real.facts, adversarial_names(fake.facts, version), contribution(fake.facts), signing)
    name = f"SYNTHETIC_{fake.facts['direction']}-{real.key}.dcm"
    return name, held, _index_entry(fake, real) | {"mark": mark.to_json()}


def _blinded_files(
    key: StudyKey, real: Sample, fake: Sample, shown: DisplayedPair, signing: SigningKey
) -> Iterator[File]:
    """Yield both files without a mark, equal in all that a reader sees. Only the header and the key say which is
    adversarial."""
    direction = f"direction {fake.facts['direction']}"
    for sample, pixels, description in ((fake, shown.fake, direction), (real, shown.real, "")):
        code = key.code(sample.key)
        picture = Picture(pixels, shown.spacing, shown.resampled, marked=False)
        yield (
            f"STUDY_{code}.dcm",
            encode(picture, real.facts, blinded_names(code, key.secret), description, signing),
            _index_entry(sample, real),
        )


def _index_entry(sample: Sample, real: Sample) -> Entry:
    """Return what the index or the key records about a mammogram made from ``real``, or that is ``real``."""
    facts = sample.facts
    is_adversarial = "source_key" in facts
    return {
        "altered": is_adversarial,
        "key": sample.key,
        "source_key": facts.get("source_key", sample.key),
        "source_label": facts.get("source_label", facts["label"]),
        "direction": facts.get("direction"),
        "split": facts["split"],
        "text_in_pixels": text_in_pixels(real.facts) or UNKNOWN,
        "checkpoint_sha256": facts["generator"]["checkpoint_sha256"] if is_adversarial else None,
    }


def _write(folder: DicomFolder, name: str, held: bytes, facts: Entry) -> Entry:
    with replaced_atomically(folder.path / name) as temporary:
        temporary.write_bytes(held)
    return {"file": name, "bytes": len(held), "sha256": hashlib.sha256(held).hexdigest(), **facts}
