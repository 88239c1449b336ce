"""Write README's figures of both objectives from the committed rows of benchmarks/objectives.csv.

python benchmarks/readme_figures.py             print them
python benchmarks/readme_figures.py --write     replace those in README.md
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from figure_formats import Format, one_digit, percent, spread, two_digits
from marked_figures import begins, show
from objective_table import CADS, CONTROLS, Row, values_of

from mammogan.io.options import run
from mammogan.io.terminal import say

BEGIN = begins("python benchmarks/readme_figures.py --write")
SETTINGS = {"size": "192x160", "preset": "demo", "conspicuity": "1.0"}
"""Settings of the rows that README shows."""


@dataclass(frozen=True)
class Options:
    csv: Path = ROOT / "benchmarks" / "objectives.csv"
    """Rows of benchmarks/objectives.py."""
    readme: Path = ROOT / "README.md"
    write: bool = False
    """Replace the figures in README."""


MEASURES: dict[str, tuple[str, Format]] = {
    "fooled_remove": ("positives that the CAD had found: called negative after removal", percent),
    "black_box_remove": ("the same for a second CAD that no generator was trained against", percent),
    "energy_near_median": ("removal: share of the change within 1.5 radii of the lesion, median", percent),
    "closer_db_median": ("removal: how much closer to the twin inside the lesion, median dB", one_digit),
    "three_db": ("removal: images that come 3 dB closer or more", percent),
    "fooled_insert": ("negatives that the CAD had cleared: called positive after insertion", percent),
    "found_and_fooled": ("insertion: found by a blob detector where it is, and the CAD fooled", percent),
    "in_disc": ("insertion: share of the change in one disc of a lesion's size, median", percent),
    "auc_adversarial": ("CAD's AUC on adversarial mammograms, labels flipped", two_digits),
    "fresh_network_remove": ("AUC of a newly trained detector, removals against real negatives", two_digits),
    "fresh_network_insert": ("AUC of a newly trained detector, insertions against real positives", two_digits),
    "critic_lived_remove": ("removal: adversarial epochs with a living critic", percent),
}
OF_CONTROLS: dict[str, tuple[str, Format]] = {
    "fooled_remove": ("CAD fooled", percent),
    "energy_near_median": ("change near the lesion", percent),
    "closer_db_median": ("dB closer", one_digit),
    "three_db": ("3 dB or more", percent),
}


def main(options: Options) -> None:
    text = figures(read(options.csv))
    say(text)
    if options.write:
        show(options.readme, BEGIN, text)


def read(path: Path) -> list[Row]:
    """Read the rows that README shows."""
    columns = ("seed", "objective", "measure", "value")
    with open(path, newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line.items() >= SETTINGS.items()]
    return [
        Row({k: v for k, v in line.items() if k not in columns}, int(line["seed"]), *_values(line)) for line in lines
    ]


def _values(line: dict[str, str]) -> tuple[str, str, float]:
    return line["objective"], line["measure"], float(line["value"])


def figures(rows: Sequence[Row]) -> str:
    """Return README's two tables and the sentence on the CADs, as markdown."""
    objectives = ("study", "lesion")
    seeds = [len(values_of(rows, name, "fooled_remove")) for name in objectives]
    titles = [f"{name} ({count} seeds)" for name, count in zip(objectives, seeds, strict=True)]
    lines = [
        f"| phantoms 192x160, lesions of 12.5 times the contrast of real ones | {' | '.join(titles)} |",
        "|---|---|---|",
        *(_line(rows, label, [(of, name, form) for of in objectives]) for name, (label, form) in MEASURES.items()),
        "",
        "A figure of removal says nothing without these controls, which remove no lesion or do it perfectly:",
        "",
        f"| control | {' | '.join(label for label, _ in OF_CONTROLS.values())} |",
        "|---|" + "---|" * len(OF_CONTROLS),
        *(_line(rows, label, _of_control(name)) for name, label in CONTROLS.items()),
        "",
        _of_cads(rows),
        "",
    ]
    return "\n".join(lines)


def _of_control(name: str) -> list[tuple[str, str, Format]]:
    return [(name, measure, form) for measure, (_, form) in OF_CONTROLS.items()]


def _line(rows: Sequence[Row], label: str, cells: Sequence[tuple[str, str, Format]]) -> str:
    shown = [spread(values_of(rows, of, measure), form) for of, measure, form in cells]
    return f"| {label} | {' | '.join(shown)} |"


def _of_cads(rows: Sequence[Row]) -> str:
    auc, sensitivity = ([v for cad in CADS for v in values_of(rows, cad, name)] for name in ("auc", "sensitivity"))
    farthest = max(abs(value - fmean(sensitivity)) for value in sensitivity)
    single = values_of(rows, "lesion", "single_try_called_positive")
    floor = values_of(rows, "twin", "fresh_network_remove")
    return (
        f"The CADs ({len(auc)} trainings) have an AUC of {spread(auc, two_digits)} and a sensitivity at 0.5 of\n"
        f"{spread(sensitivity, percent)}, at most {100 * farthest:.0f} points from their mean. An insertion is the\n"
        "first of up to six transplanted lesions that the CAD calls positive; a single one, chosen without the CAD,\n"
        f"is called positive in {spread(single, percent)}. The floor of the detector's AUC, lesion-free twins as\n"
        f"removals, is {spread(floor, two_digits)}."
    )


if __name__ == "__main__":
    run(Options, main, __doc__, files=())
