"""Let two detectors that see only pixels read a drawn study: what could be found in these very images?

    mammogan detector-reading --workspace work
    mammogan reading-tables --workspace work

A small network and a spectrum detector learn to tell training mammograms from their adversarial images, and then score
the images of sessions 3 and 5, as the readers see them. reading-tables shows the result beside the readers' tables,
never pooled with them. The scores go to WORKSPACE/private/reading-NAME/detectors.csv. Scores that are there are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn

from mammogan.io.options import run
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say
from mammogan.workspace import Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder in which the study was drawn, with its shards and adversarial mammograms."""
    name: str = "study"
    """Name of the study."""
    steps: int = 600
    """Training steps of the network."""
    seed: int = 0
    """Seed of the detectors' training."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if torch finds one, otherwise the CPU."""


def execute(options: Options) -> None:
    """Train the detectors, score the images, and say what comes next."""
    from mammogan.reader.detector_reading import read_by_detectors

    workspace = Workspace(options.workspace)
    scores = read_by_detectors(workspace, options.name, options.device, options.seed, options.steps)
    say(f"{len({score.image for score in scores})} images scored. The tables of the study:")
    say(f"  mammogan reading-tables --workspace {shell_word(workspace.root)} --name {options.name}")


def main() -> NoReturn:
    run(Options, execute, __doc__)
