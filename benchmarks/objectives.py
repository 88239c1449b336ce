"""Both objectives compared on phantoms, over seeds: is the lesion removed, is one inserted, and can it be told?

Each seed has its own cohort, CAD and generators, a second CAD that nothing was trained against, and an unseen cohort on
which all figures are taken. Every step is a command that you can run by hand, and is printed before it runs; what is
there already is skipped, so the same command goes on where it was stopped. A seed that fails keeps none of the others
from being measured.

    python benchmarks/objectives.py --out work/objectives --seeds 1 2 3
    python benchmarks/objectives.py --out work/objectives --seeds 1 2 3 4 5 6 --only cad
    python benchmarks/objectives.py --out work/larger --seeds 1 --size 384x320 --config larger.yaml

In OUT: seed-N (the workspace of the trainings), second-N, test-N (the unseen cohort), rows/, and table.md.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from objective_table import read_rows, table, write_csv

from mammogan.data.phantom.settings import PresetName
from mammogan.errors import UserError
from mammogan.io.atomic import write_text
from mammogan.io.options import run
from mammogan.io.terminal import duration, say
from mammogan.workspace import OBJECTIVES, Objective, Resolution


@dataclass(frozen=True)
class Options:
    out: Path = Path("work/objectives")
    """Folder of everything that is made."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Of the cohorts and the trainings. The unseen cohort has 1000 more, the second CAD 100 more."""
    patients: int = 600
    """Of the cohort that is trained on; about 29% are positive."""
    test_patients: int = 300
    """Of the unseen cohort."""
    test_negatives: int = 400
    """Most negative mammograms of the unseen cohort, those of its first patients; all positives are kept."""
    size: str = "192x160"
    """Size of the phantoms and of the training, HEIGHTxWIDTH."""
    preset: PresetName = "demo"
    """demo: masses of exaggerated contrast. physical: contrast of real masses, and calcifications."""
    conspicuity: float = 1.0
    """Multiplies the excess attenuation of the lesions on top of the preset."""
    config: Path = ROOT / "launch" / "demo.yaml"
    """Settings of the trainings, as mammogan study takes them; seeds are laid over it."""
    parallel: int = 2
    """Processes side by side; more than one have a core each."""
    objective: tuple[Objective, ...] = OBJECTIVES
    """What generators are trained for: study, lesion."""
    detector_steps: int = 600
    """Of each detector that is trained afresh to tell adversarial from real."""
    detector_seeds: int = 1
    """Trainings of each of these detectors; their mean is the figure of a seed."""
    only: Literal["all", "cad"] = "all"
    """cad: train and measure the two CADs of each seed alone."""
    csv: Path = ROOT / "benchmarks" / "objectives.csv"
    """Table of all rows: those of these settings are replaced in it, those of others stay."""
    table_only: bool = False
    """Write CSV and table from what was measured before, and do nothing else."""

    def __post_init__(self) -> None:
        Resolution.parse(self.size)
        for name in ("patients", "test_patients", "test_negatives", "parallel", "detector_steps", "detector_seeds"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}: expected 1 or more")
        if not self.seeds or not self.objective:
            raise UserError("expected at least one of --seeds and of --objective")


def main(options: Options) -> int:
    if options.parallel > 1:
        os.environ["OMP_NUM_THREADS"] = "1"
    failed = [] if options.table_only else [seed for seed in dict.fromkeys(options.seeds) if not done(seed, options)]
    summarise(options)
    if failed:
        print(f"failed: seed {', '.join(map(str, failed))}, see above; the same command goes on", file=sys.stderr)
    return int(bool(failed))


def done(seed: int, options: Options) -> bool:
    """Train and measure one seed; False when that fails, which is told."""
    from objective_seed import Seed

    began = time.monotonic()
    try:
        made = Seed(seed, options).complete()
    except (UserError, OSError) as error:
        print(f"seed {seed}: {error}", file=sys.stderr, flush=True)
        return False
    except Exception:  # a fault of ours, which need not keep the other seeds from being measured
        traceback.print_exc()
        return False
    say(f"seed {seed}: {f'done in {duration(time.monotonic() - began)}' if made else 'measured before'}")
    return True


def summarise(options: Options) -> None:
    """Write the CSV and the table of every seed in OUT that is measured."""
    rows = read_rows(options.out / "rows")
    if not rows:
        raise UserError(f"nothing is measured in {options.out / 'rows'}; run the command without --table-only")
    write_csv(options.csv, rows)
    text = table(rows)
    write_text(options.out / "table.md", text)
    say(f"\n{text}\n{options.out / 'table.md'}, {options.csv}")


if __name__ == "__main__":
    run(Options, main, __doc__, files=())
