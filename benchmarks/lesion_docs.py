"""Writes the tables of docs/lesion_objective.md from committed rows: what each term does, and where objectives break.

python benchmarks/lesion_docs.py             print them
python benchmarks/lesion_docs.py --write     replace those in docs/lesion_objective.md

The rows are those of benchmarks/lesion_ablation.py (lesion_ablation.csv) and benchmarks/objectives.py (objectives.csv).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from figure_formats import Format, one_digit, percent, spread, two_digits
from lesion_ablation import VARIANTS
from marked_figures import begins, show

from mammogan.data.phantom.settings import PHYSICAL_MASS_OVER_GLAND, PRESETS
from mammogan.io.options import run
from mammogan.io.tables import read_own_csv
from mammogan.io.terminal import say
from mammogan.workspace import OBJECTIVES

ABLATION = begins("python benchmarks/lesion_docs.py --write, each term left out")
LADDER = begins("python benchmarks/lesion_docs.py --write, fainter lesions")
KINDS = {"mass": "masses", "cluster": "clusters of calcifications"}
Line = dict[str, str]


@dataclass(frozen=True)
class Options:
    ablation: Path = ROOT / "benchmarks" / "lesion_ablation.csv"
    """Rows of benchmarks/lesion_ablation.py."""
    objectives: Path = ROOT / "benchmarks" / "objectives.csv"
    """Rows of benchmarks/objectives.py, of every contrast that was measured."""
    page: Path = ROOT / "docs" / "lesion_objective.md"
    write: bool = False
    """Replace the tables on the page."""


OF_ABLATION: dict[str, tuple[str, Format]] = {
    "fooled": ("CAD fooled", percent),
    "near_median": ("change near the lesion, median", percent),
    "near_mean": ("mean", percent),
    "db_median": ("dB closer, median", one_digit),
    "share_3db": ("3 dB or more", percent),
}
WEAK = "none: this CAD reads hardly better than chance"
STEP = ("lesions", "seeds", "CAD: AUC, sensitivity", "objective")
OF_LADDER: dict[str, tuple[str, Format]] = {
    "fooled_remove": ("CAD fooled by removal", percent),
    "energy_near_median": ("removal's change near the lesion, median", percent),
    "closer_db_median": ("dB closer, median", one_digit),
    "three_db": ("3 dB or more", percent),
    "fooled_insert": ("CAD fooled by insertion", percent),
    "found_and_fooled": ("found and fooled", percent),
    "auc_adversarial": ("adversarial AUC", two_digits),
}


def main(options: Options) -> None:
    tables = {ABLATION: ablation(read_own_csv(options.ablation)), LADDER: ladder(read_own_csv(options.objectives))}
    for begin, text in tables.items():
        say(f"{text}\n")
        if options.write:
            show(options.page, begin, text)


def ablation(rows: Sequence[Line]) -> str:
    """Return the table of the lesion objective without each of its terms, as markdown."""
    first = rows[0]
    table = [
        f"{first['images']} unseen positives, {first['epochs']} epochs, {first['cells']} cells.",
        "",
        f"| | seeds | {' | '.join(label for label, _ in OF_ABLATION.values())} |",
        "|---" * (2 + len(OF_ABLATION)) + "|",
    ]
    for variant in VARIANTS:
        own = [row for row in rows if row["variant"] == variant]
        cells = [spread([float(row[name]) for row in own], form) for name, (_, form) in OF_ABLATION.items()]
        table.append(f"| {variant} | {len(own)} | {' | '.join(cells)} |")
    return "\n".join(table)


def ladder(rows: Sequence[Line]) -> str:
    """Return the table of both objectives over the contrast of the lesions, as markdown."""
    steps = sorted({(row["preset"], float(row["conspicuity"])) for row in rows}, key=lambda step: (step[0], -step[1]))
    table = [
        f"| {' | '.join([*STEP, *(label for label, _ in OF_LADDER.values())])} |",
        "|---" * (len(STEP) + len(OF_LADDER)) + "|",
    ]
    for preset, conspicuity in steps:
        own = [row for row in rows if (row["preset"], float(row["conspicuity"])) == (preset, conspicuity)]
        seeds = len({row["seed"] for row in own})
        cad = f"{of(own, 'cad', 'auc', two_digits)}, {of(own, 'cad', 'sensitivity', percent)}"
        measured = [objective for objective in OBJECTIVES if any(row["objective"] == objective for row in own)]
        for objective in measured or [WEAK]:
            cells = [of(own, objective, name, form) for name, (_, form) in OF_LADDER.items()]
            table.append(f"| {named(preset, conspicuity)} | {seeds} | {cad} | {objective} | {' | '.join(cells)} |")
    return "\n".join(table)


def named(preset: str, conspicuity: float) -> str:
    """Name the lesions of a preset by their kinds, and their contrast by that of real ones."""
    settings = PRESETS[preset]  # type: ignore[index]
    times = (settings.mass_over_gland - 1) * conspicuity / (PHYSICAL_MASS_OVER_GLAND - 1)
    kinds = sorted({kind for kinds, _ in settings.findings for kind in kinds}, reverse=True)
    return f"{' and '.join(KINDS[kind] for kind in kinds)}, {times:.3g} times the contrast"


def of(rows: Sequence[Line], objective: str, measure: str, form: Format) -> str:
    """Return the mean and range over the seeds of one measure; a dash where it was not measured."""
    return spread([float(r["value"]) for r in rows if (r["objective"], r["measure"]) == (objective, measure)], form)


if __name__ == "__main__":
    run(Options, main, __doc__, files=())
