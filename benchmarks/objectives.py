"""Compares both objectives on phantoms, over seeds: is the lesion removed, is one inserted, and can it be detected?

Each seed has its own cohort, CAD and generators, a second CAD that no generator was trained against, and an unseen
cohort, on which all figures are measured. Every step is a command that you can also run manually; it is printed before
it runs. Completed steps are skipped, so the same command continues a stopped run. If a seed fails, the others are still
measured.

    python benchmarks/objectives.py --out work/objectives --seeds 1 2 3
    python benchmarks/objectives.py --out work/objectives --seeds 1 2 3 4 5 6 --only cad
    python benchmarks/objectives.py --out work/larger --seeds 1 --size 384x320 --config larger.yaml
    python benchmarks/objectives.py --out work/fainter --seeds 1 --conspicuity 0.5 --cad-from work/demo/runs/cad-192x160

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
    """Folder for all results."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Seeds of the cohorts and the trainings. The unseen cohort's seed is 1000 higher, the second CAD's 100 higher."""
    patients: int = 600
    """Patients of the training cohort; about 29% are positive."""
    test_patients: int = 300
    """Patients of the unseen cohort."""
    test_negatives: int = 400
    """Most negative mammograms of the unseen cohort, from its first patients; all positives are kept."""
    size: str = "192x160"
    """Size of the phantoms and of the images in training, HEIGHTxWIDTH."""
    preset: PresetName = "demo"
    """demo: masses of exaggerated contrast. physical: contrast of real masses, and calcifications."""
    conspicuity: float = 1.0
    """Multiplies the excess attenuation of the lesions, in addition to the preset."""
    config: Path = ROOT / "mammogan" / "cli" / "demo.yaml"
    """YAML file with the settings of the trainings, as for mammogan study --config; the seeds here win over it."""
    cad_from: str = ""
    """Begin both CADs with the weights of this run or checkpoint, such as work/demo/runs/cad-192x160: from random ones
    a CAD does not learn to find fainter lesions in the demo's few batches. Empty: begin with random weights."""
    allow_weak_cad: bool = False
    """Train the generators even if a CAD is not known to read better than chance."""
    parallel: int = 2
    """Processes that run side by side; if there are several, each uses one core."""
    objective: tuple[Objective, ...] = OBJECTIVES
    """Objectives of the generators: study, lesion."""
    detector_steps: int = 600
    """Training steps of each new detector that distinguishes adversarial from real images."""
    detector_seeds: int = 1
    """Trainings of each of these detectors; a seed's figure is their mean."""
    only: Literal["all", "cad"] = "all"
    """cad: train and measure only the two CADs of each seed."""
    csv: Path = ROOT / "benchmarks" / "objectives.csv"
    """Table of all rows: rows with these settings are replaced, rows with other settings stay."""
    table_only: bool = False
    """Only write the CSV and the table from earlier measurements."""

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
    """Train and measure one seed. If that fails, print the error and return False."""
    from objective_seed import Seed

    began = time.monotonic()
    try:
        made = Seed(seed, options).complete()
    except (UserError, OSError) as error:
        print(f"seed {seed}: {error}", file=sys.stderr, flush=True)
        return False
    except Exception:  # an error of this program: the other seeds are still measured
        traceback.print_exc()
        return False
    say(f"seed {seed}: {f'done in {duration(time.monotonic() - began)}' if made else 'measured before'}")
    return True


def summarise(options: Options) -> None:
    """Write the CSV and the table of all measured seeds in OUT."""
    rows = read_rows(options.out / "rows")
    if not rows:
        raise UserError(f"nothing is measured in {options.out / 'rows'}; run the command without --table-only")
    write_csv(options.csv, rows)
    text = table(rows)
    write_text(options.out / "table.md", text)
    say(f"\n{text}\n{options.out / 'table.md'}, {options.csv}")


if __name__ == "__main__":
    run(Options, main, __doc__, files=())
