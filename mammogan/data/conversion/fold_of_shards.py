"""Know which fold of a cross-validation the shards of a workspace belong to, and refuse to take them for another."""

from __future__ import annotations

from mammogan.data.cohort.folds import Fold
from mammogan.data.conversion.shard_settings import all_held_settings
from mammogan.errors import UserError
from mammogan.workspace import Workspace


def division_of(workspace: Workspace) -> str:
    """Return how the patients of a workspace's shards were divided, as their settings record it; empty if none say
    it."""
    return next((str(held.get("split", "")) for held in all_held_settings(workspace).values()), "")


def other_fold(held: str, requested: str) -> str:
    """Return, in words, that shards which are divided as ``held`` says are not of the ``requested`` fold; empty where
    no fold is concerned, or it is the same."""
    if not held or held == requested or not (Fold.recorded(held) or Fold.recorded(requested)):
        return ""
    return f"the shards are {_in_words(held)}, and shards {_in_words(requested)} are requested"


def refuse_other_fold(workspace: Workspace, requested: str) -> None:
    """Raise UserError if the workspace has shards of another fold, or if only one of both is of a fold."""
    held = division_of(workspace)
    if differs := other_fold(held, requested):
        given = Fold.recorded(held)
        earlier = f"--fold {given.number}/{given.of} --fold-seed {given.seed}" if given else "no --fold"
        raise UserError(
            f"{workspace.root}: {differs}. One workspace has one fold, or a patient could be trained on and tested: "
            f"give another --workspace, or for this one {earlier}"
        )


def _in_words(divided: str) -> str:
    return f"of {divided}" if Fold.recorded(divided) else "of no fold"
