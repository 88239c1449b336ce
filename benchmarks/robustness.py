"""Measures what adversarial training of the CAD gains and costs: CADs with and without it, attacked one by one.

Over seeds, two CADs learn from the shards of a phantom workspace with the demo's settings: one as usual, one by
--adversarial-training fgsm. Then each is attacked by itself, as in the section "Which classifier withstands?" of
mammogan evaluate-deeper, whose figures these are. Every step is a command that is printed before it runs; finished ones
are skipped.

    python benchmarks/robustness.py --workspace work/demo --out work/robustness --seeds 1 2 3
    python benchmarks/robustness.py --table-only --write      the table of docs/evaluation.md, from the committed rows
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import yaml
from figure_formats import percent, spread, two_digits
from marked_figures import begins, show
from objective_seed import run_commands

from mammogan.errors import UserError
from mammogan.evaluation.beyond.config import page_folder
from mammogan.io import tables
from mammogan.io.atomic import read_json, write_text
from mammogan.io.options import run
from mammogan.io.terminal import say
from mammogan.study.settings import read_sections
from mammogan.workspace import Direction, Resolution, Workspace

BEGIN = begins("python benchmarks/robustness.py --table-only --write")
TRAININGS = {"plain": "none", "hardened": "fgsm"}
"""Values of --adversarial-training, by the names of the CADs."""
COLUMNS = ("training", "budget", "seed", "attack", "auc", "remove", "insert")
Line = dict[str, str]


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work/demo")
    """Workspace of a finished study of phantoms, such as the demo's. Its page "Beyond Table 1" gets this section."""
    out: Path = Path("work/robustness")
    """Folder for the CADs."""
    seeds: tuple[int, ...] = (1, 2, 3)
    resolution: str = "192x160"
    config: Path = ROOT / "mammogan" / "cli" / "demo.yaml"
    """YAML file with the settings of the CADs in section cad, as for mammogan study --config."""
    budget: float = 64.0
    """--adversarial-budget: largest change of a pixel in adversarial training, in grey levels of 65535."""
    attacks: tuple[str, ...] = ("noise=1024", "fgsm=256", "pgd-linf=64", "pgd-linf=256", "pgd-linf=1024")
    """Attacks and their budgets, as for mammogan evaluate-deeper --baseline."""
    images: int = 164
    """Most test images of each label that are attacked."""
    parallel: int = 2
    """Trainings that run side by side."""
    csv: Path = ROOT / "benchmarks" / "robustness.csv"
    page: Path = ROOT / "docs" / "evaluation.md"
    table_only: bool = False
    """Only print the table of the rows that were measured before."""
    write: bool = False
    """Replace the table on the page."""


def main(options: Options) -> None:
    if not options.table_only:
        train(options)
        tables.write(options.csv, COLUMNS, [*measured(options)])
    text = table(tables.read_own_csv(options.csv))
    say(f"\n{text}")
    if options.write:
        show(options.page, BEGIN, text)


def cads(options: Options) -> Iterator[tuple[str, int, Workspace]]:
    """Yield the name of the training, the seed and the workspace of each CAD."""
    for seed in options.seeds:
        for name in TRAININGS:
            yield name, seed, Workspace(options.out / f"{name}-{seed}")


def train(options: Options) -> None:
    """Train the CADs that are not there yet, on the shards of the workspace."""
    commands = []
    for name, seed, workspace in cads(options):
        workspace.root.mkdir(parents=True, exist_ok=True)
        if not (shards := workspace.root / "shards").is_symlink():
            shards.symlink_to((options.workspace / "shards").resolve(), target_is_directory=True)
        settings = read_sections(options.config)["cad"] | {"seed": str(seed), "resolution": options.resolution}
        settings |= {"adversarial-training": TRAININGS[name], "adversarial-budget": f"{options.budget:g}"}
        write_text(asked := workspace.root / "cad.yaml", yaml.safe_dump(settings, sort_keys=False))
        words = ["--workspace", str(workspace.root), "--config", str(asked), "--cluster", "none"]
        commands.append(["launch/train_cad.py", *words])
    for at in range(0, len(commands), options.parallel):
        run_commands(*commands[at : at + options.parallel])


def measured(options: Options) -> Iterator[Sequence[object]]:
    """Attack every CAD by itself, and yield a row for each attack, in the order of COLUMNS; that of the originals has
    no attack."""
    size = Resolution.parse(options.resolution)
    victims = {f"{name}-{seed}": (name, seed, workspace.cad_run(size)) for name, seed, workspace in cads(options)}
    words = ["--workspace", str(options.workspace), "--resolution", options.resolution, "--section", "robustness"]
    words += ["--images", str(options.images), "--baseline", *options.attacks]
    words += ["--victim", *(f"{victim}={run}" for victim, (_, _, run) in victims.items())]
    run_commands(["launch/evaluate_deeper.py", *words])
    for row in found_rows(read_json(page_folder(Workspace(options.workspace), size) / "evaluation.json")):
        if row["victim"] in victims:
            name, seed, _ = victims[row["victim"]]
            shares = {str(d): row["fooled"][str(d)]["value"] if row["fooled"] else "" for d in Direction}
            yield name, f"{options.budget:g}", seed, row["attack"], row["auc"]["value"], *shares.values()


def found_rows(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the section in evaluation.json; UserError without it."""
    if section := evaluation["sections"].get("robustness"):
        rows: list[dict[str, Any]] = section["rows"]
        return rows
    raise UserError("evaluation.json has no section robustness: see the errors of mammogan evaluate-deeper above")


def table(rows: Sequence[Line]) -> str:
    """Return the Markdown table: for each attack, both kinds of CAD side by side, mean and range over the seeds."""
    budget = rows[0]["budget"]
    heads = ["plain: AUC", "cancers called negative", f"hardened with {budget}: AUC", "cancers called negative"]
    lines = [f"| attack on the CAD itself | seeds | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    for attack in dict.fromkeys(row["attack"] for row in rows):
        cells, seeds = [], set()
        for name in TRAININGS:
            own = [row for row in rows if (row["training"], row["attack"]) == (name, attack)]
            seeds |= {row["seed"] for row in own}
            cells.append(spread([float(row["auc"]) for row in own], two_digits))
            cells.append(spread([float(row["remove"]) for row in own if row["remove"]], percent))
        lines.append(f"| {attack or 'none: the originals'} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run(Options, main, __doc__, files=())
