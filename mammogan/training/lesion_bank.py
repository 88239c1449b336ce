"""Make the lesion bank of the lesion objective: lesions that its remover takes from training positives, to be inserted.

Labels alone decide which lesions are banked: the change must lie within one disc of a lesion's size and must not be
among the faintest. No CAD takes part, and no outline of a lesion is known. docs/lesion_objective.md, Eq. L3.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mammogan.config import GanConfig
from mammogan.data.blobs.disc import NEAR, best_disc
from mammogan.data.phantom.settings import FIELD_HEIGHT_MM
from mammogan.data.shards.checked import CheckedShard
from mammogan.data.shards.index import IndexedShard, ShardIndex
from mammogan.data.shards.reader import Sample
from mammogan.errors import UserError
from mammogan.io.atomic import sha256
from mammogan.io.own_files import file_exists
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say, track
from mammogan.models.lesion import Grid, LesionGenerator
from mammogan.models.transplant import Lesion, Scale, cut_out
from mammogan.training.both_objectives import checked_gan_inputs
from mammogan.training.parallel.ranks import Ranks, joined
from mammogan.training.run.checkpoint import save
from mammogan.training.run.checkpoint_files import choose_checkpoint
from mammogan.training.run.model_card import CARD, GENERATES, model_card
from mammogan.training.run.optimizer import Precision
from mammogan.training.run.preflight import check_remover
from mammogan.training.run.run_folder import Run
from mammogan.training.run.trained_networks import load_generator
from mammogan.workspace import Direction, Resolution, Workspace

ARCH = "transplant"
BATCH = 8


def train(config: GanConfig, workspace: Workspace) -> None:
    """Make the bank, in minutes; done.json is written last.

    Raises MissingInput when the shards, the CAD or the remover are missing. Raises UserError when the remover found too
    few lesions.
    """
    resolution = Resolution.parse(config.resolution)
    run = Run(workspace.gan_run(resolution, Direction.INSERT))
    with joined(config.compute.device) as ranks:
        inputs = checked_gan_inputs(config, Direction.INSERT, workspace)
        check_remover(resolution, workspace)
        remover = choose_checkpoint(workspace.gan_run(resolution, Direction.REMOVE))
        inputs |= {"remover_sha256": sha256(remover)}
        changed = run.changes(config, inputs)
        if file_exists(run.done) and not changed and not run.lost_result:
            say(f"{run.path.name}: made before, nothing to do.")
        elif ranks.first:
            if changed:
                say(f"{run.path.name}: made again, since {'; '.join(changed)}")
            _make(config, workspace, remover, inputs, run, ranks)
        ranks.wait()


def _make(
    config: GanConfig, workspace: Workspace, remover: Path, inputs: dict[str, Any], run: Run, ranks: Ranks
) -> None:
    """Take the lesions, choose those for the bank, and save it."""
    resolution = Resolution.parse(config.resolution)
    shards = workspace.shards(resolution)
    run.begin(config, inputs)
    taking = load_generator(remover.parent, which=str(remover))
    if not isinstance(taking, LesionGenerator):
        raise UserError(f"checkpoint {remover} is no remover of the lesion objective; train it again")
    generator = Precision.choose("fp32", ranks.device).place(taking).eval()
    positives = sum(shard.count for shard in _shards_of_positives(shards))
    samples = track(_positives(shards), positives, f"{run.path.name}: taking lesions")
    scale = scale_of(config, generator.grid, FIELD_HEIGHT_MM / resolution.height)
    found = list(_taken(generator, samples, config))
    share, strength = (np.array([entry[n] for entry in found]) for n in (1, 2))
    compact = share >= config.lesion.bank_share
    faintest = np.quantile(strength[compact], config.lesion.bank_faintest) if compact.any() else np.inf
    kept = [entry[0] for entry, ok in zip(found, compact & (strength >= faintest), strict=True) if ok]
    if len(kept) < config.lesion.bank_least:
        raise UserError(
            f"the remover changes one compact place, as a lesion is, in {int(compact.sum())} of {len(found)} training "
            f"positives, which leaves {len(kept)} lesions for the bank, and {config.lesion.bank_least} are needed. "
            f"Look at {remover.parent.parent / 'pictures'}; train the remover for longer (--lesion.epochs), or on a "
            "finer grid (--lesion.cells)"
        )
    state = {
        "kind": "gan",
        "arch": ARCH,
        "objective": "lesion",
        CARD: model_card(GENERATES.format(target=Direction.INSERT.target), workspace, resolution),
        "direction": str(Direction.INSERT),
        "radius": scale.radius,
        "cell": scale.cell,
        "lesions": [lesion.state() for lesion in kept],
        "phase": "bank",
        "epoch": 0,
    }
    save(run.newest, state)
    run.finish({"lesions": len(kept), "positives": len(found), "compact": int(compact.sum())})
    say(f"{run.path.name}: {len(kept)} lesions of {len(found)} training positives ({int(compact.sum())} compact)")


def scale_of(config: GanConfig, grid: Grid, spacing_mm: float) -> Scale:
    """Return cell size and lesion radius in cells for a picture with pixels of ``spacing_mm``."""
    return Scale(grid.cell, config.lesion.radius_mm / spacing_mm / grid.cell)


Taken = tuple[Lesion, float, float]
"""A lesion, the share of its change within one disc, and its strength: the mean darkening of the picture."""


@torch.no_grad()
def _taken(generator: LesionGenerator, samples: Iterator[Sample], config: GanConfig) -> Iterator[Taken]:
    """Yield the lesion that the remover takes from each sample."""
    device, grid = next(generator.parameters()).device, generator.grid
    while several := list(islice(samples, BATCH)):
        pixels = torch.from_numpy(np.stack([sample.pixels for sample in several]))[:, None].to(device)
        maps, cells = (made[:, 0].cpu().numpy() for made in (generator.map(pixels), grid.pooled(pixels)))
        for sample, change, means in zip(several, maps, cells, strict=True):
            scale = scale_of(config, grid, mm_a_pixel(sample))
            share, (row, column) = best_disc(change**2, (1, 1), NEAR * scale.radius)  # lengths in cells
            strength = float(-np.minimum(change, 0).mean())
            yield cut_out(means, change, (round(row), round(column)), scale), share, strength


def mm_a_pixel(sample: Sample) -> float:
    """Return the pixel size of a shard's mammogram, in mm.

    If the shard does not record it, assume that the picture shows the full height of a large detector.
    """
    spacing = sample.facts.get("spacing_mm")
    return float(spacing[0]) if spacing else FIELD_HEIGHT_MM / sample.pixels.shape[0]


def _shards_of_positives(folder: Path) -> list[IndexedShard]:
    return [shard for shard in ShardIndex.load(folder).of_split("train") if shard.label == "positive"]


def _positives(folder: Path) -> Iterator[Sample]:
    """Yield the training positives. Raise UserError, at the latest at the end, if a shard is not the one in the
    index."""
    workspace = folder.parent.parent
    again = f"  mammogan make-shards --cohort labels.csv --workspace {shell_word(workspace)} --resolution {folder.name}"
    for shard in _shards_of_positives(folder):
        yield from CheckedShard(folder / shard.name, shard, again)
