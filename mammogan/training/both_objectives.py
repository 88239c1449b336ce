"""What the trainings of both objectives share beside their run folders: inputs, and the verdict on a critic."""

from __future__ import annotations

from typing import Any

from mammogan.config import Direction, Resolution, Workspace
from mammogan.data.stream import shards_fingerprint
from mammogan.files import sha256
from mammogan.training.checkpoint import choose_checkpoint
from mammogan.training.critic_life import CriticLife
from mammogan.training.progress import Reporter


def gan_inputs(direction: Direction, workspace: Workspace, resolution: Resolution) -> dict[str, Any]:
    """What a run is begun with besides its settings, as it is recorded: direction, shards and CAD."""
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
    """Whether the critic lived in this epoch; that it died is told once, with the advice."""
    told = life.count(epoch, figures, reproduction, advice)
    if told:
        reporter.event("critic", epoch=epoch, told=told)
        reporter.note(f"{reporter.run.path.name}: {told}")
    return life.died_in_epoch is None
