"""Make adversarial shards from real ones: each mammogram gets a counterpart with the flipped label (study, section 6).

``plan`` lists the tasks, one per shard; ``generate_shard`` executes one and can be repeated; ``finish`` writes the
index.
"""

from __future__ import annotations

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
from mammogan.attack.methods import Attack, InsertionChoice, load_attack, plan_own_attack, refuse_constant
from mammogan.attack.original_background import with_original_background
from mammogan.attack.shard_task import ShardTask
from mammogan.attack.signature import SigningKey, signed_texts
from mammogan.data.conversion.open_shard import member_places
from mammogan.data.shards.codec import encode
from mammogan.data.shards.index import IndexedShard, ShardIndex
from mammogan.data.shards.reader import Sample
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import replaced_atomically, sha256
from mammogan.io.png_text import NOTICE
from mammogan.io.records import write_record
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say, track
from mammogan.models.registry import LESION_GENERATORS, generator_class
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.trained_networks import CheckpointFacts, choose_checkpoint, read_generator
from mammogan.workspace import Direction, Resolution, Workspace


def generate(workspace: Workspace, config: GenerateConfig) -> None:
    """Do everything in this process: plan, make each shard that is not current, and write the index of each
    resolution. An attack of your own, and the lesion objective, have folders of their own in the workspace."""
    workspace = workspace if config.method == "study" else workspace.of(config.method)
    for resolution in resolutions(workspace, config):
        tasks = plan(workspace, resolution, config)
        for task in tasks:
            generate_shard(task)
        finish(tasks)


def resolutions(workspace: Workspace, config: GenerateConfig) -> list[Resolution]:
    """Return the requested resolutions, or all with shards and generators. Raise MissingInput if there are none."""
    found = [Resolution.parse(text) for text in config.resolution] or _with_generators(workspace, config)
    if not found:
        raise MissingInput(
            f"no shards in {workspace.root / 'shards'}; run\n"
            f"  mammogan make-shards --cohort labels.csv --workspace {shell_word(workspace.root)}"
        )
    if config.checkpoint not in ("best", "newest") and len(found) > 1:
        names = ", ".join(map(str, found))
        raise UserError(f"--checkpoint {config.checkpoint} is one generator's file: name one --resolution of {names}")
    return found


def _with_generators(workspace: Workspace, config: GenerateConfig) -> list[Resolution]:
    """Return the resolutions that have a generator, reporting those that have only shards; all if none has a
    generator."""
    models, there = _models(workspace, config), workspace.resolutions()
    if config.factory:
        classified = [r for r in there if choose_checkpoint(models.cad_run(r)).is_file()]
        for left_out in set(there) - set(classified) if classified else ():
            say(f"{left_out}: left out, since no CAD is there (mammogan train-cad --resolution {left_out})")
        return classified or there
    trained = [r for r in there if any(models.gan_run(r, d).is_dir() for d in config.direction)]
    for left_out in set(there) - set(trained) if trained else ():
        say(f"{left_out}: left out, since no generators are there (mammogan train-gan --resolution {left_out})")
    return trained or there


def _models(workspace: Workspace, config: GenerateConfig) -> Workspace:
    """Return the workspace whose runs/ hold the generators, or the CAD that an attack of your own is given."""
    return Workspace(config.models, config.objective) if config.models else workspace


def plan(workspace: Workspace, resolution: Resolution, config: GenerateConfig) -> list[ShardTask]:
    """Return one task for each real shard of the requested splits and directions, with its generator pinned by sha256.

    Raise MissingInput, naming the command to run, if shards or a generator are missing.
    """
    models = _models(workspace, config)
    index = ShardIndex.load(workspace.shards(resolution))
    tasks = []
    for direction in config.direction:
        own = _shards_of(index, direction, config)
        if not own:
            say(f"{resolution}, {direction}: no {direction.source} mammograms in split {', '.join(config.split)}")
            continue
        cad = choose_checkpoint(models.cad_run(resolution))
        if config.factory:
            generator, choosing = plan_own_attack(config.factory, direction, cad, config.attack_settings)
        else:
            generator = _find_generator(models, resolution, direction, config.checkpoint)
            choosing = InsertionChoice.of(generator, config.tries, config.seed, cad)
        models_used = [(generator.run, generator.shards_sha256)]
        check_domain(models_used, index, config.out_of_domain, config.origin_unknown)
        tasks += [
            ShardTask(
                *(workspace, resolution, direction, s.split, s.name, s.sha256, s.count),
                *(generator, config.out_of_domain, config.batch, config.device, config.background, choosing),
            )
            for s in own
        ]
    return tasks


def _shards_of(index: ShardIndex, direction: Direction, config: GenerateConfig) -> list[IndexedShard]:
    """Return the real shards that are requested for a direction; of training the first ``config.train_shards``."""
    most = {"train": config.train_shards or None}
    by_split = {s: [shard for shard in index.of_split(s) if shard.label == direction.source] for s in config.split}
    return [shard for split, shards in by_split.items() for shard in shards[: most.get(split)]]


def _find_generator(models: Workspace, resolution: Resolution, direction: Direction, which: str) -> CheckpointFacts:
    """Find the generator of a direction. Raise MissingInput if there is none, and UserError if its checkpoint records
    the other direction or, when given by path, the other objective."""
    run = models.gan_run(resolution, direction)
    try:
        found = read_generator(run, which)[1]
    except MissingInput:
        if which not in ("best", "newest"):
            raise
        objective = "" if models.objective == "study" else f" --objective {models.objective}"
        raise MissingInput(
            f"no generator ({direction}) for {resolution} in {run}; run\n"
            f"  mammogan train-gan --workspace {shell_word(models.root)} --resolution {resolution} "
            f"--direction {direction}{objective}\n"
            "or name with --models the workspace whose generators are to be used"
        ) from None
    named = which not in ("best", "newest")
    if named and (found.arch in LESION_GENERATORS) != (models.objective == "lesion"):
        raise UserError(
            f"{found.path} is a generator of the other objective ({found.arch}) than --objective {models.objective}: "
            "give the other --objective, or another --checkpoint"
        )
    if found.arch not in LESION_GENERATORS:
        generator_class(found.arch)  # where the jobs are submitted, not only in them
    if found.direction not in (direction, None):
        raise UserError(
            f"{found.path} was trained to {found.direction}, but {direction} is requested: "
            f"give --direction {found.direction}, or another --checkpoint"
        )
    return found


def generate_shard(task: ShardTask) -> bool:
    """Make one adversarial shard. Return False, and change nothing, if it exists and is current."""
    reason = task.outdated()
    if not reason:
        say(f"{task.resolution}, {task.name}: up to date")
        return False
    say(f"{task.resolution}, {task.name}: {reason}; making {task.count} adversarial mammograms")
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
        entry = _entry(
            task, patients, png_sha256, own
        )  # hash our own file: another process may be making the same shard
    write_record(task.folder.marker(task.name), entry)
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
