"""Which checkpoint of a run is used, and what identifies it. Nothing is loaded, so this imports nothing heavy."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.config import GENERATOR
from mammogan.errors import UserError
from mammogan.io.own_files import file_exists
from mammogan.io.terminal import say
from mammogan.training.run.model_card import shards_of_card
from mammogan.training.run.run_folder import Run

OWN_ATTACK = "attack "
"""Beginning of the ``arch`` of an attack of your own; its import path follows."""


@dataclass(frozen=True)
class CheckpointFacts:
    """The origin of a generator."""

    path: Path
    sha256: str
    phase: str = ""
    """Phase of the training in which it was saved; empty as long as the file was not read."""
    epoch: int = 0
    direction: str | None = None
    """remove or insert; None if the checkpoint does not record it."""
    shards_sha256: str | None = None
    """Fingerprint of the shards it was trained on; None if neither its run nor the checkpoint says it."""
    arch: str = GENERATOR

    @property
    def run(self) -> str:
        """Name of its run; of an attack of your own, its import path."""
        if self.arch.startswith(OWN_ATTACK):
            return self.arch.removeprefix(OWN_ATTACK)
        return run_of(self.path).path.name


def check_same_file(checkpoint: Path | str, found: str, planned: str) -> None:
    """Raise UserError if the file's sha256 is not the one that the work was planned with."""
    if found != planned:
        raise UserError(f"{checkpoint} has changed since this was planned; run the same command again")


def run_of(checkpoint: Path) -> Run:
    """Return the run of a checkpoint: the parent of its checkpoints/ folder, or for a copy the folder it is in."""
    folder = checkpoint.absolute().parent
    return Run(folder.parent if folder.name == "checkpoints" else folder)


def trained_on(checkpoint: Path, state: dict[str, Any] | None = None) -> str | None:
    """Return the fingerprint of the shards that a checkpoint was trained on: what its run records, or what it says
    itself; None if neither says anything. ``state`` is its content, if that was read already.

    Raises UserError if both say it and differ. A checkpoint under a training's own name in its run is read only where
    the run records nothing: whoever loads it compares the two.
    """
    run = run_of(checkpoint)
    recorded = run.shards_sha256
    if state is None:
        if recorded is not None and run.has_under_own_name(checkpoint):
            return recorded
        from mammogan.training.run.checkpoint import load  # imports torch; a run that records its shards needs none

        state = load(checkpoint)
    own = shards_of_card(state)
    if own is not None and recorded is not None and own != recorded:
        raise UserError(
            f"checkpoint {checkpoint} says that it was trained on the shards {own[:12]}, and {run.path / 'config.yaml'}"
            f" that the training was on {str(recorded)[:12]}: one of the two is of another training. Bring the right "
            "one back; or move the checkpoint into a folder of its own, where its own word counts"
        )
    return own if recorded is None else recorded


_say_once = functools.cache(say)


def choose_checkpoint(run: Path, which: str = "best") -> Path:
    """Return the path of 'best', 'newest', or of the checkpoint that ``which`` names.

    A run without a best one, for example because its critic was always dead, gives its newest. An exported model gives
    its weights, but a model.safetensors that lies beside a run's checkpoints/ is not its result. Raises UserError if a
    finished run had a best one and that is gone.
    """
    found = Run(run)
    if which in ("best", "newest"):
        if found.is_exported:
            return found.exported
        if file_exists(found.exported):
            _say_once(
                f"note: {found.exported} is not used: a folder with checkpoints/ is a training's, and an exported "
                "model has a folder of its own. Name that file to use it, or move it away"
            )
    if which == "best" and not file_exists(found.best):
        found.refuse_lost_result()
    newest = found.previous if file_exists(found.previous) and not file_exists(found.newest) else found.newest
    named = {"best": found.best if file_exists(found.best) else newest, "newest": newest}
    return named.get(which, Path(which))
