"""The controls of one shard of positives: what decides them, and whether they are up to date. Nothing heavy is
imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.data.shards.checked import CheckedShard
from mammogan.evaluation.scores_file import read_kept

CONTROLS = 2
"""Version of the controls; increase it when the same inputs give other scores."""


@dataclass(frozen=True)
class ControlTask:
    """The controls of one shard of positives; small enough to be pickled for a cluster job."""

    shard: CheckedShard
    path: Path
    """File that keeps their scores."""
    made_from: dict[str, Any]
    """Everything that decides the scores, including the CAD."""
    identity: Path | None
    """Checkpoint of a generator at the end of its identity phase; None if it was not kept."""
    batch: int = 4

    def read(self) -> tuple[str, list[dict[str, Any]]]:
        """Return why the controls have to be measured, or "" if they are current, and the scores in the file."""
        return read_kept(self.path, self.made_from)
