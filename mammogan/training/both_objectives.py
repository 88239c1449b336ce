"""Shared by the trainings of both objectives: the record of a run's inputs, and the judgement of its critic."""

from __future__ import annotations

from typing import Any

from mammogan.config import GanConfig
from mammogan.data.shards.reader import shards_fingerprint
from mammogan.io.atomic import sha256
from mammogan.models.registry import sources_of
from mammogan.training.critic_life import CriticLife
from mammogan.training.run.preflight import check_gan_inputs
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.training.run.start_from import start_inputs
from mammogan.training.run.trained_networks import choose_checkpoint
from mammogan.workspace import Direction, Resolution, Workspace


def checked_gan_inputs(config: GanConfig, direction: Direction, workspace: Workspace) -> dict[str, Any]:
    """Check that everything a GAN's training needs is there; return what config.yaml records besides the settings.

    These inputs are the direction, the shards and the CAD. Raises MissingInput when shards or CAD are missing.
    """
    check_gan_inputs(config, workspace)
    resolution = Resolution.parse(config.resolution)
    return {
        "direction": str(direction),
        "shards_sha256": shards_fingerprint(workspace.shards(resolution)),
        "cad_sha256": sha256(choose_checkpoint(workspace.cad_run(resolution))),
        **sources_of(generator=config.generator),
        **start_inputs(Run(workspace.gan_run(resolution, direction)), config.start_from),
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
    message = life.count(epoch, figures, reproduction, advice)
    if message:
        reporter.event("critic", epoch=epoch, message=message)
        reporter.note(f"{reporter.run.path.name}: {message}")
    return life.died_in_epoch is None
