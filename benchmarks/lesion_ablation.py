"""Trains the lesion objective without each of its terms in turn, and measures it on phantoms that no training has seen.

    python benchmarks/lesion_ablation.py --workspace work/demo --unseen work/unseen --seeds 0 1 2

WORKSPACE holds shards and a CAD, such as the demo's. UNSEEN holds the shards of another phantom cohort with twins, of
the same size. Every training is kept in OUT with its row of the table; a stopped training resumes. The CSV and the
table contain all rows that exist so far.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import mean

import numpy as np
import torch

from mammogan.attack.methods import NetworkAttack
from mammogan.attack.original_background import with_original_background
from mammogan.config import ComputeConfig, GanConfig, LesionConfig
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import Sample, read_shard
from mammogan.errors import UserError
from mammogan.evaluation.phantom_truth import compare_with_truth, phantom_truth
from mammogan.io.atomic import read_json, replaced_atomically, write_json
from mammogan.io.options import run
from mammogan.io.terminal import say
from mammogan.models.networks import Cad
from mammogan.training import gan
from mammogan.training.run.trained_networks import load_cad, load_generator
from mammogan.workspace import Direction, Resolution, Workspace

FULL = LesionConfig()
VARIANTS: dict[str, dict[str, float]] = {
    "all terms": {},
    "no untouched sources": {"untouched": 0.0},
    "no sparsity": {"sparse": 0.0},
    "no fixed point": {"fixed_point": 0.0},
    "no R1": {"r1": 0.0},
    "critic not first": {"critic_first": 0},
    "no averaging": {"average": 0.0},
}
COLUMNS = (
    "variant",
    "seed",
    "epochs",
    "cells",
    "images",
    "fooled",
    "near_median",
    "near_mean",
    "db_median",
    "share_3db",
)
BATCH = 8


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work/demo")
    """Workspace with shards and a CAD."""
    unseen: Path = Path("work/unseen")
    """Workspace of another cohort of phantoms with twins; the positives of all its splits are measured."""
    out: Path = Path("work/ablation")
    """Folder for the trainings."""
    resolution: str = "192x160"
    width: float = 0.25
    seeds: tuple[int, ...] = (0, 1, 2)
    variants: tuple[str, ...] = tuple(VARIANTS)
    epochs: int = FULL.epochs
    cells: int = 48
    """Height of the map in cells: half the objective's default, which takes twice the time."""
    share: str = "1/1"
    """K/N: train every N-th run, starting with the K-th; two processes with 1/2 and 2/2 share the work."""
    csv: Path = Path("benchmarks/lesion_ablation.csv")


def main(options: Options) -> None:
    wanted = [(variant, seed) for seed in options.seeds for variant in options.variants]
    if unknown := set(options.variants) - set(VARIANTS):
        raise UserError(f"--variants {', '.join(sorted(unknown))}: expected some of {', '.join(VARIANTS)}")
    first, of = map(int, options.share.split("/"))
    for variant, seed in wanted[first - 1 :: of]:
        kept = folder_of(options, variant, seed) / "row.json"
        if not kept.is_file():
            write_json(kept, measured(options, variant, seed, trained(options, variant, seed)))
            say(f"{variant}, seed {seed}: {read_json(kept)}")
    rows = [read_json(row) for row in sorted(options.out.glob(f"*-{options.epochs}-{options.cells}/row.json"))]
    write_rows(options.csv, rows)
    say(table(rows))


def folder_of(options: Options, variant: str, seed: int) -> Path:
    """Return the folder of one training; a training of another length or grid has another folder."""
    return options.out / f"{variant.replace(' ', '-')}-{seed}-{options.epochs}-{options.cells}"


def trained(options: Options, variant: str, seed: int) -> Path:
    """Train a variant, unless that was done before, and return its run folder."""
    workspace = Workspace(folder_of(options, variant, seed), "lesion")
    resolution = Resolution.parse(options.resolution)
    for made in ("shards", f"runs/cad-{resolution}"):
        link = workspace.root / made
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((options.workspace / made).resolve())
    lesion = replace(FULL, epochs=options.epochs, cells=options.cells, **VARIANTS[variant])  # type: ignore[arg-type]
    compute = ComputeConfig(device="cpu", loader_workers=0, tensorboard=False)
    config = GanConfig(
        resolution=str(resolution),
        objective="lesion",
        width=options.width,
        lesion=lesion,
        validate_every=options.epochs,
        compute=compute,
        seed=seed,
    )
    gan.train_gan(config, Direction.REMOVE, workspace)
    return workspace.gan_run(resolution, Direction.REMOVE)


def measured(options: Options, variant: str, seed: int, remover: Path) -> dict[str, str]:
    """Return one row: removals of the unseen positives, compared with their twins and scored by the CAD."""
    resolution = Resolution.parse(options.resolution)
    unseen, cad = Workspace(options.unseen), load_cad(Workspace(options.workspace).cad_run(resolution))
    attack, truth = NetworkAttack(load_generator(remover)), phantom_truth(unseen.cohort)
    right, turned, near, db = 0, 0, [], []
    samples = positives(unseen, resolution)
    while several := list(islice(samples, BATCH)):
        pixels = torch.from_numpy(np.stack([sample.pixels for sample in several]))[:, None]
        made = attack.alter(pixels, [sample.facts for sample in several])[:, 0].numpy()
        saved = np.stack(
            [with_original_background(s.pixels, m, "original") for s, m in zip(several, made, strict=True)]
        )
        before, after = called_positive(cad, pixels), called_positive(cad, torch.from_numpy(saved)[:, None])
        right, turned = right + int(before.sum()), turned + int((before & ~after).sum())
        for sample, adversarial in zip(several, saved, strict=True):
            known = truth.of(sample.key, sample.facts)
            if known is None or known.twin is None:
                raise UserError(f"{options.unseen}: expected phantoms with twins (make_phantom.py --twins)")
            removal = compare_with_truth(sample.pixels, adversarial, known)
            near += [] if removal.energy_near is None else [removal.energy_near]  # None: no pixel was changed
            db.append(removal.closer_db or 0.0)
    figures = (
        len(db),
        turned / max(right, 1),
        np.median(near),
        np.mean(near),
        np.median(db),
        np.mean(np.array(db) >= 3),
    )
    values = (variant, seed, options.epochs, options.cells, figures[0], *(f"{value:.4f}" for value in figures[1:]))
    return dict(zip(COLUMNS, map(str, values), strict=True))


def positives(workspace: Workspace, resolution: Resolution) -> Iterator[Sample]:
    """Yield all positives of a workspace, from every split."""
    folder = workspace.shards(resolution)
    for shard in ShardIndex.load(folder).shards:
        if shard.label == "positive":
            yield from read_shard(folder / shard.name)


@torch.no_grad()
def called_positive(cad: Cad, pixels: torch.Tensor) -> torch.Tensor:
    """Return which images (N,) the CAD calls positive."""
    return cad.positive_probability(pixels) > 0.5


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write the CSV."""
    with replaced_atomically(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def table(rows: list[dict[str, str]]) -> str:
    """Return a Markdown table with a line per variant: mean and range over the seeds."""
    figures = COLUMNS[5:]
    lines = ["| | seeds | " + " | ".join(figures) + " |", "|---" * (2 + len(figures)) + "|"]
    for variant in VARIANTS:
        own = [row for row in rows if row["variant"] == variant]
        if own:
            cells = [_range([float(row[name]) for row in own]) for name in figures]
            lines.append(f"| {variant} | {len(own)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _range(values: list[float]) -> str:
    return f"{mean(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    run(Options, main, __doc__)
