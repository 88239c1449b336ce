"""Shard in, altered shard out: every mammogram becomes its counterpart, with the flipped label (study, section 6).

``plan`` lists the tasks, one a shard; ``generate_shard`` does one and may be repeated; ``finish`` writes the index.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset as wds

from mammogan.attack.adversarial import SETTINGS, AlteredFolder, Entry, whole_shard
from mammogan.attack.background import as_saved
from mammogan.attack.domain import check_domain
from mammogan.attack.methods import NOTHING_TO_CHOOSE, Attack, Choosing, load_attack
from mammogan.attack.settings import Background, GenerateConfig
from mammogan.config import Direction, MissingInput, Resolution, UserError, Workspace
from mammogan.data.codec import encode
from mammogan.data.index import ShardIndex
from mammogan.data.shard_folder import member_places
from mammogan.data.stream import Sample
from mammogan.files import sha256, write_json, written_beside
from mammogan.terminal import say, track
from mammogan.training.checkpoint import CheckpointFacts, choose_checkpoint, read_generator
from mammogan.training.distributed import choose_device

NOTICE = "synthetic: altered by MammoGAN, not a clinical image"


@dataclass(frozen=True)
class ShardTask:
    """One shard to be altered by one generator; small enough to be pickled for a cluster."""

    workspace: Workspace
    resolution: Resolution
    direction: Direction
    split: str
    source: str
    """File name of the real shard."""
    source_sha256: str
    count: int
    generator: CheckpointFacts
    out_of_domain: str = ""
    batch: int = 4
    device: str = "auto"
    background: Background = "original"
    choosing: Choosing = NOTHING_TO_CHOOSE

    @property
    def folder(self) -> AlteredFolder:
        return AlteredFolder(self.workspace, self.resolution)

    @property
    def name(self) -> str:
        """test-positive-000003.tar becomes test-remove-000003.tar."""
        return f"{self.split}-{self.direction}-{self.source.rpartition('-')[2]}"

    @property
    def made_from(self) -> dict[str, Any]:
        """All that decides the pixels: a shard made from the same needs not be made again."""
        return {
            **SETTINGS,
            "source_shard_sha256": self.source_sha256,
            "checkpoint_sha256": self.generator.sha256,
            "background": self.background,
            **self.choosing.made_from,
        }

    def outdated(self) -> str:
        """Why the shard has to be made; empty when it is there and current."""
        entry = self.folder.entry(self.name)
        if entry is None:
            return "not made yet"
        if entry["count"] != self.count:
            return f"{entry['count']} of {self.count} mammograms were altered"
        reasons = {
            "source_shard_sha256": "the real mammograms changed",
            "checkpoint_sha256": "the generator changed",
            "background": f"--background is now {self.background}",
            "tries": f"--tries is now {self.choosing.tries}",
            "seed": f"--seed is now {self.choosing.seed}",
            "choosing_cad_sha256": "the CAD that chooses among tries changed",
        }
        changed = [name for name, value in self.made_from.items() if entry["made_from"].get(name) != value]
        return ", ".join(dict.fromkeys(reasons.get(name, "made by another version") for name in changed))


def generate(workspace: Workspace, config: GenerateConfig) -> None:
    """Everything in this process: plan, alter what is not current, write the index of each resolution."""
    for resolution in resolutions(workspace, config):
        tasks = plan(workspace, resolution, config)
        for task in tasks:
            generate_shard(task)
        finish(tasks)


def resolutions(workspace: Workspace, config: GenerateConfig) -> list[Resolution]:
    """Those asked for, else all that have shards and generators. MissingInput when there is none."""
    found = [Resolution.parse(text) for text in config.resolution] or _with_generators(workspace, config)
    if not found:
        raise MissingInput(
            f"no shards in {workspace.root / 'shards'}; run\n"
            f"  python shards/make_shards.py --cohort labels.csv --workspace {workspace.root}"
        )
    if config.checkpoint not in ("best", "newest") and len(found) > 1:
        names = ", ".join(map(str, found))
        raise UserError(f"--checkpoint {config.checkpoint} is one generator's file: name one --resolution of {names}")
    return found


def _with_generators(workspace: Workspace, config: GenerateConfig) -> list[Resolution]:
    """Resolutions that have a generator; those that have shards alone are told. All, when none has a generator."""
    models, there = Workspace(config.models, config.objective) if config.models else workspace, workspace.resolutions()
    trained = [r for r in there if any(models.gan_run(r, d).is_dir() for d in config.direction)]
    for left_out in set(there) - set(trained) if trained else ():
        say(f"{left_out}: left out, since no generators are there (launch/train_gan.py --resolution {left_out})")
    return trained or there


def plan(workspace: Workspace, resolution: Resolution, config: GenerateConfig) -> list[ShardTask]:
    """One task for each real shard of the splits and directions asked for, its generator pinned by sha256.

    MissingInput names the command to run when shards or a generator are missing.
    """
    models = Workspace(config.models, config.objective) if config.models else workspace
    index = ShardIndex.load(workspace.shards(resolution))
    shards = [shard for split in config.split for shard in index.of_split(split)]
    tasks = []
    for direction in config.direction:
        own = [shard for shard in shards if shard.label == direction.source]
        if not own:
            say(f"{resolution}, {direction}: no {direction.source} mammograms in split {', '.join(config.split)}")
            continue
        generator = _find_generator(models, resolution, direction, config.checkpoint)
        check_domain([(generator.run, generator.shards_sha256)], index, config.out_of_domain)
        cad = choose_checkpoint(models.cad_run(resolution))
        choosing = Choosing.of(generator, config.tries, config.seed, cad)
        tasks += [
            ShardTask(
                *(workspace, resolution, direction, s.split, s.name, s.sha256, s.count),
                *(generator, config.out_of_domain, config.batch, config.device, config.background, choosing),
            )
            for s in own
        ]
    return tasks


def _find_generator(models: Workspace, resolution: Resolution, direction: Direction, which: str) -> CheckpointFacts:
    """UserError when the checkpoint says that it does the opposite."""
    run = models.gan_run(resolution, direction)
    try:
        found = read_generator(run, which)[1]
    except MissingInput:
        if which not in ("best", "newest"):
            raise
        objective = "" if models.objective == "study" else f" --objective {models.objective}"
        raise MissingInput(
            f"no generator ({direction}) for {resolution} in {run}; run\n"
            f"  python launch/train_gan.py --workspace {models.root} --resolution {resolution} "
            f"--direction {direction}{objective}\n"
            "or name with --models the workspace whose generators are to be used"
        ) from None
    named = which not in ("best", "newest")
    if named and (found.arch == "unet") != (models.objective == "study"):
        raise UserError(
            f"{found.path} is a generator of the other objective ({found.arch}) than --objective {models.objective}: "
            "give the other --objective, or another --checkpoint"
        )
    if found.direction not in (direction, None):
        raise UserError(
            f"{found.path} was trained to {found.direction} and is asked to {direction}: "
            f"give --direction {found.direction}, or another --checkpoint"
        )
    return found


def generate_shard(task: ShardTask) -> bool:
    """Make one altered shard; False, and nothing is touched, when it is there and current."""
    reason = task.outdated()
    if not reason:
        say(f"{task.resolution}, {task.name}: up to date")
        return False
    say(f"{task.resolution}, {task.name}: {reason}; altering {task.count} mammograms")
    attack = _load_pinned(task.generator, task.choosing, str(choose_device(task.device)), task.background)
    task.folder.remove(task.name)
    patients: dict[str, str] = {}
    unchanged = 0
    with written_beside(task.folder.path / task.name) as own:
        with (
            open(own, "wb") as file,
            wds.TarWriter(file, user="mammogan", group="mammogan", mtime=0, encoder=False) as tar,
        ):
            for sample in track(alter(task, attack), task.count, f"altering {task.name}"):
                patients[sample.key] = sample.facts["patient"]
                unchanged += sample.facts["unchanged"]
                facts = json.dumps(sample.facts, allow_nan=False).encode()
                tar.write({"__key__": sample.key, "png": encode(sample.pixels, "png"), "json": facts})
        entry = _entry(task, patients, own)  # of our own file: another process may make the same shard
    write_json(task.folder.marker(task.name), entry)
    if unchanged:
        say(f"{task.resolution}, {task.name}: {unchanged} of {task.count} mammograms were left as they are")
    return True


def alter(task: ShardTask, attack: Attack) -> Iterator[Sample]:
    """The fakes of a shard, in its order."""
    reals = iter(whole_shard(task.workspace, task.resolution, task.source, task.count))
    while batch := list(islice(reals, task.batch)):
        pixels = torch.from_numpy(np.stack([sample.pixels for sample in batch]))[:, None]
        for real, fake in zip(batch, attack.alter(pixels, [real.key for real in batch]), strict=True):
            saved = as_saved(real.pixels, fake[0].numpy(), task.background)
            facts = altered_facts(real, task) | {"unchanged": bool(np.array_equal(saved, real.pixels))}
            yield Sample(f"{real.key}-{task.direction}", saved, facts)


def altered_facts(real: Sample, task: ShardTask) -> dict[str, Any]:
    """JSON of a fake: its original's, the label flipped, and where it comes from."""
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
        **({"tries": task.choosing.tries} if task.choosing.made_from else {}),
        "notice": NOTICE,
    }


def finish(tasks: Sequence[ShardTask]) -> None:
    """Write index.json of all altered shards that still match the real ones; UserError when a task is not done.

    Shards of other splits and directions stay; those whose real shard is gone or has changed are removed.
    """
    if undone := [f"{task.name} ({reason})" for task in tasks if (reason := task.outdated())]:
        raise UserError(f"not all mammograms are altered: {', '.join(undone)}; run the same command again")
    for folder in dict.fromkeys(task.folder for task in tasks):
        current = _drop_leftovers(folder)
        if folder.write_index(current):
            say(f"{folder.index}: {sum(e['count'] for e in current)} altered mammograms in {len(current)} shards")


def _drop_leftovers(folder: AlteredFolder) -> list[Entry]:
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


def _entry(task: ShardTask, patients: dict[str, str], tar: Path) -> Entry:
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
        "samples": [{"key": key, "patient": patients[key], **at} for key, at in member_places(tar).items()],
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
def _load_pinned(generator: CheckpointFacts, choosing: Choosing, device: str, background: Background) -> Attack:
    return load_attack(generator, choosing, device, background)
