"""Draw a reader study: five sessions of originals and adversarial mammograms for readers who say which is which.

    mammogan draw-reading --workspace work
    mammogan draw-reading --workspace work --readers R1 R2 R3 R4 R5 --low-readers R1 R2
    mammogan draw-reading --workspace work --objective lesion --name lesion
    mammogan draw-reading --workspace work --name rehearsal --scale 0.05

The sessions show 100 originals, 100 originals, 436 images, 100 triplets and 440 images; a small cohort gives fewer.
They need adversarial images of validation and test, and of about 100 training mammograms; the command that makes what
is missing is named. The study goes to WORKSPACE/reading/NAME/ (plan.md is for you to read), and the key that says which
image is which to WORKSPACE/private/reading-NAME/key.json. docs/reading.md explains it all.

An interrupted drawing continues when the same command is run again. A complete one is never changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from mammogan.io.options import Flat, run
from mammogan.reader.config import DrawConfig
from mammogan.workspace import Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder that holds shards and adversarial mammograms; the study is written there too."""
    config: Path | None = None
    """YAML file with values for these options."""
    drawing: Flat[DrawConfig] = field(default=DrawConfig())


def execute(options: Options) -> int:
    from mammogan.reader.drawing.draw_folder import draw_reading

    draw_reading(Workspace(options.workspace), options.drawing)
    return 0


def main() -> NoReturn:
    run(Options, execute, __doc__)
