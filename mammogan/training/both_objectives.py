"""Shared by the trainings of both objectives: the record of a run's inputs, and the judgement of its critic."""

from __future__ import annotations

from typing import Any

from mammogan.data.shards.reader import shards_fingerprint
from mammogan.io.atomic import sha256
from mammogan.training.critic_life import CriticLife
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.trained_networks import choose_checkpoint
from mammogan.workspace import Direction, Resolution, Workspace


def gan_inputs(direction: Direction, workspace: Workspace, resolution: Resolution) -> dict[str, Any]:
    """Return what config.yaml records of a run's inputs, besides its settings: direction, shards and CAD."""
    return {
        "direction": str(direction),
        "shards_sha256": shards_fingerprint(workspace.shards(resolution)),
        "cad_sha256": sha256(choose_checkpoint(workspace.cad_run(resolution))),
    }


def judge(
    life: CriticLife,
    epoch: int,
    figures: dict[str, Any],
    reproduction: float | None,
    advice: str,
    reporter: Reporter,
) -> bool:
    """Return whether the critic is alive in this epoch; its first death is reported once, with the advice."""
    told = life.count(epoch, figures, reproduction, advice)
    if told:
        reporter.event("critic", epoch=epoch, told=told)
        reporter.note(f"{reporter.run.path.name}: {told}")
    return life.died_in_epoch is None
