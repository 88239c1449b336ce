"""Export a trained network so that it can be handed on: weights, settings, a model card, and the sha256 of each.

    mammogan export-model work/runs/cad-1728x1408 --out handed-on
    mammogan export-model work/runs/gan-1728x1408-remove --out handed-on
    mammogan generate --workspace elsewhere/work --models handed-on --out-of-domain "models from another hospital"

handed-on/cad-1728x1408/ then has model.safetensors (weights and what they belong to; no code), config.yaml (settings of
the training), MODEL_CARD.md and SHA256SUMS. The card says in numbers what the network was trained on, how those files
were converted, what it is for, and, for a generator, how near its outputs are to single training mammograms: this is
measured, with the shards that are beside the run. It has no path, name or number of a patient. Read it before you hand
the folder on, and look into the agreement under which you received the mammograms.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import tyro

from mammogan.io.options import run
from mammogan.io.shell import shell_word


@dataclass(frozen=True)
class Options:
    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a training, such as work/runs/gan-1728x1408-remove."""
    out: Path
    """Folder for exported models. Each gets a folder of its run's name in it."""
    checkpoint: Literal["best", "newest"] = "best"
    """Which checkpoint of the run: the best on the validation mammograms, or the newest."""
    outputs: int = 20
    """A generator alters so many validation mammograms, whose nearest training mammograms are measured."""
    training_images: int = 5000
    """Compare with at most so many training mammograms, taken evenly."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if torch finds one, otherwise the CPU."""
    overwrite: bool = False
    """Replace an exported model that is there."""


def execute(options: Options) -> None:
    from mammogan.attack.model_export.export import export_model
    from mammogan.io.terminal import say

    folder = export_model(
        options.run,
        options.out,
        options.checkpoint,
        options.outputs,
        options.training_images,
        options.device,
        options.overwrite,
    )
    say(f"exported to {folder}; read {folder / 'MODEL_CARD.md'} before you hand it on")
    say(f"To use it: --models {shell_word(options.out)} with mammogan generate and mammogan evaluate")


def main() -> NoReturn:
    run(Options, execute, __doc__)
