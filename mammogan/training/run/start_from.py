"""Begin a training with the weights of another one (``--start-from``), and record which they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mammogan.data.shards.index import ShardIndex
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import sha256
from mammogan.io.terminal import say
from mammogan.training.run.checkpoint import load
from mammogan.training.run.checkpoint_files import choose_checkpoint, run_of, trained_on
from mammogan.training.run.checkpoint_kind import IDENTITY, Kind, check_kind, described
from mammogan.training.run.run_folder import STARTED_FROM, Run


def start_inputs(run: Run, start_from: str) -> dict[str, Any]:
    """Return what config.yaml records of the weights that a training begins with; empty if it begins without any.

    A training that has begun keeps its record: it no longer needs these weights, which may be gone.
    """
    if not start_from:
        return {}
    if run.started_from:
        return run.started_from
    path = _checkpoint(start_from)
    return dict(zip(STARTED_FROM, (sha256(path), trained_on(path)), strict=True))


def start_state(start_from: str, kind: Kind, ours: dict[str, Any], shards: Path) -> dict[str, Any]:
    """Load the weights to begin with. ``ours`` says what this training's checkpoints are, ``shards`` is its folder.

    Raises MissingInput if there are none, and UserError if they are those of another kind of network. Says so if they
    were trained on other mammograms.
    """
    path = _checkpoint(start_from)
    state = load(path)
    check_kind(path, state, kind)
    differing = [
        f"{name} {state[name]} instead of {ours[name]}"
        for name in IDENTITY
        if name in ours and name in state and state[name] != ours[name]
    ]
    if differing:
        raise UserError(
            f"--start-from {start_from} holds {described(state)}, which does not fit this training: "
            f"{', '.join(differing)}. Give this training the same, or start from another run"
        )
    say(f"The training begins with the weights of {path}.")
    run_of(path).check_result(path)
    theirs = trained_on(path, state)
    if theirs is None or ShardIndex.load(shards).added_since(theirs) is None:
        say(
            "WARNING: these weights were trained on other mammograms, or do not say on which. If some of those women "
            "are in validation or test here, the figures will be too good"
        )
    return state


def _checkpoint(start_from: str) -> Path:
    """Return the checkpoint that --start-from names: a file, or the best one of a run's or exported model's folder."""
    path = Path(start_from) if Path(start_from).is_file() else choose_checkpoint(Path(start_from))
    if not path.is_file():
        raise MissingInput(f"--start-from {start_from}: no checkpoint {path}; expected a run's folder, or a checkpoint")
    return path
