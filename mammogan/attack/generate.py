"""Make adversarial shards from real ones: each mammogram gets a counterpart with the flipped label (study, section 6).

``plan`` lists the tasks, one per shard, and checks their generators; ``generate_shard`` executes one and can be
repeated; ``finish`` writes the index.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset as wds

from mammogan.attack.config import Background, GenerateConfig
from mammogan.attack.domain_check import check_domain
from mammogan.attack.folder import AdversarialFolder, Entry, real_shard
from mammogan.attack.generator_check import read_checked
from mammogan.attack.insertion_choice import NO_CHOICE, InsertionChoice
from mammogan.attack.methods import Attack, load_attack, refuse_constant
from mammogan.attack.original_background import with_original_background
from mammogan.attack.plan import plan_shards, resolutions
from mammogan.attack.shard_task import ShardTask
from mammogan.attack.signature import SigningKey, signed_texts
from mammogan.data.conversion.open_shard import member_places
from mammogan.data.shards.codec import encode
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import Sample
from mammogan.errors import UserError
from mammogan.io.atomic import replaced_atomically, sha256
from mammogan.io.png_text import NOTICE
from mammogan.io.terminal import say, track
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.checkpoint_files import CheckpointFacts
from mammogan.workspace import Resolution, Workspace


def generate(workspace: Workspace, config: GenerateConfig) -> None:
    """Do everything in this process: plan, make each shard that is not current, and write the index of each
    resolution. An attack of your own, and the lesion objective, have folders of their own in the workspace."""
    workspace = workspace if config.method == "study" else workspace.of(config.method)
    for resolution in resolutions(workspace, config):
        tasks = plan(workspace, resolution, config)
        for task in tasks:
            generate_shard(task)
        finish(tasks)


def plan(workspace: Workspace, resolution: Resolution, config: GenerateConfig) -> list[ShardTask]:
    """Return the tasks of ``plan_shards``, after their generators were read and checked."""
    tasks = plan_shards(workspace, resolution, config)
    read = {task.generator: task.direction for task in tasks}
    found = {generator: read_checked(generator, direction) for generator, direction in read.items()}
    choosing = {task.choosing.cad for task in tasks if config.cad and not config.attack}
    models_used, index = {(of.run, of.shards_sha256) for of in found.values()}, workspace.shards(resolution)
    models_used |= {(cad.name, cad.trained_on()) for cad in choosing if cad}
    check_domain(
        sorted(models_used, key=str, reverse=True), ShardIndex.load(index), config.out_of_domain, config.origin_unknown
    )
    return [_as_read(task, found[task.generator]) for task in tasks]


def _as_read(task: ShardTask, found: CheckpointFacts) -> ShardTask:
    """Return a task with what its generator's checkpoint records; only a bank of lesions chooses among tries."""
    choosing = task.choosing if found.arch == task.generator.arch else NO_CHOICE
    return dataclasses.replace(task, generator=found, choosing=choosing)


def generate_shard(task: ShardTask) -> bool:
    """Make one adversarial shard. Return False, and change nothing, if it exists and is current."""
    reason = task.outdated()
    if not reason:
        say(f"{task.resolution}, {task.name}: up to date")
        return False
    say(f"{task.resolution}, {task.name}: {reason}; making {task.count} adversarial mammograms")
    if not task.generator.phase:  # it was planned without being read
        task = _as_read(task, read_checked(task.generator, task.direction))
    attack = _load_pinned(task.generator, task.choosing, str(choose_device(task.device)), task.background)
    task.folder.remove(task.name)
    patients: dict[str, str] = {}
    png_sha256: dict[str, str] = {}
    key, unchanged = SigningKey.of(task.workspace), 0
    with replaced_atomically(task.folder.path / task.name) as own:
        with (
            open(own, "wb") as file,
            wds.TarWriter(file, user="mammogan", group="mammogan", mtime=0, encoder=False) as tar,
        ):
            for sample in track(alter(task, attack), task.count, f"making adversarial: {task.name}"):
                patients[sample.key] = sample.facts["patient"]
                unchanged += sample.facts["unchanged"]
                facts = json.dumps(sample.facts, allow_nan=False).encode()
                png = encode(sample.pixels, "png", signed_texts(sample.facts, sample.pixels, key))
                png_sha256[sample.key] = hashlib.sha256(png).hexdigest()
                tar.write({"__key__": sample.key, "png": png, "json": facts})
        # The hash is of our own file: another process may be making the same shard.
        entry = _entry(task, patients, png_sha256, own)
    task.folder.marked.finish(task.name, entry)
    if unchanged:
        say(f"{task.resolution}, {task.name}: {unchanged} of {task.count} mammograms were left unchanged")
    return True


def alter(task: ShardTask, attack: Attack) -> Iterator[Sample]:
    """Yield the adversarial mammograms of a shard, in the order of the originals."""
    reals = iter(real_shard(task.workspace, task.resolution, task.source, task.source_sha256))
    while batch := list(islice(reals, task.batch)):
        pixels = torch.from_numpy(np.stack([sample.pixels for sample in batch]))[:, None]
        for real, fake in zip(batch, attack.alter(pixels, [real.facts for real in batch]), strict=True):
            refuse_constant(real.pixels, fake[0].numpy(), real.key)
            saved = with_original_background(real.pixels, fake[0].numpy(), task.background)
            facts = adversarial_facts(real, task) | {"unchanged": bool(np.array_equal(saved, real.pixels))}
            yield Sample(f"{real.key}-{task.direction}", saved, facts)


def adversarial_facts(real: Sample, task: ShardTask) -> dict[str, Any]:
    """Return the JSON of an adversarial mammogram: its original's, with the flipped label and where it comes from."""
    target = task.direction.target
    return {
        **real.facts,
        "key": f"{real.key}-{task.direction}",
        "label": target,
        "y_cancer": int(target == "positive"),
        "synthetic": True,
        "source_key": real.key,
        "source_label": real.facts["label"],
        "direction": str(task.direction),
        "generator": _made_by(task),
        "background": task.background,
        "objective": task.workspace.objective,
        **({"tries": task.choosing.tries} if task.choosing.tries else {}),
        "notice": NOTICE,
    }


def finish(tasks: Sequence[ShardTask]) -> None:
    """Write index.json of all adversarial shards that still match the real ones. Raise UserError if a task is not done.

    Shards of other splits and directions are kept. Those whose real shard is gone or has changed are removed.
    """
    if undone := [f"{task.name} ({reason})" for task in tasks if (reason := task.outdated())]:
        raise UserError(f"not all adversarial mammograms are made: {', '.join(undone)}; run the same command again")
    for folder in dict.fromkeys(task.folder for task in tasks):
        current = _drop_leftovers(folder)
        if folder.write_index(current):
            say(f"{folder.index}: {sum(e['count'] for e in current)} adversarial mammograms in {len(current)} shards")


def _drop_leftovers(folder: AdversarialFolder) -> list[Entry]:
    entries, kept = folder.entries(), []
    shards = ShardIndex.load(folder.workspace.shards(folder.resolution)).shards if entries else ()
    real = {shard.name: shard.sha256 for shard in shards}
    for entry in entries:
        if real.get(entry["source_shard"]) == entry["source_shard_sha256"]:
            kept.append(entry)
        else:
            say(f"{folder.resolution}, {entry['name']}: removed, its real mammograms are gone or changed")
            folder.remove(entry["name"])
    return kept


def _entry(task: ShardTask, patients: dict[str, str], png_sha256: dict[str, str], tar: Path) -> Entry:
    return {
        "name": task.name,
        "split": task.split,
        "label": task.direction.target,
        "count": len(patients),
        "bytes": tar.stat().st_size,
        "sha256": sha256(tar),
        "direction": str(task.direction),
        "source_shard": task.source,
        "source_shard_sha256": task.source_sha256,
        "generator": _made_by(task),
        "made_from": task.made_from,
        "generator_shards_sha256": task.generator.shards_sha256,
        "out_of_domain": task.out_of_domain,
        "samples": [
            {"key": key, "patient": patients[key], **at, "png_sha256": png_sha256[key]}
            for key, at in member_places(tar).items()
        ],
    }


def _made_by(task: ShardTask) -> dict[str, Any]:
    made = task.generator
    return {
        "checkpoint_sha256": made.sha256,
        "run": made.run,
        "phase": made.phase,
        "epoch": made.epoch,
    }


@functools.lru_cache(maxsize=2)
def _load_pinned(generator: CheckpointFacts, choosing: InsertionChoice, device: str, background: Background) -> Attack:
    return load_attack(generator, choosing, device, background)
