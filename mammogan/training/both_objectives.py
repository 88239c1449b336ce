"""Shared by the trainings of both objectives: the record of a run's inputs, and the judgement of its critic."""

from __future__ import annotations

from typing import Any, Protocol

from mammogan.config import GanConfig
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import ShardImages, shards_fingerprint
from mammogan.models.networks import Critic
from mammogan.models.registry import sources_of
from mammogan.training.cad_reading import read_validation
from mammogan.training.critic_life import CriticLife
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.cad_record import notice, reading_of_run, refuse_weak
from mammogan.training.run.cad_source import CadSource, cad_source
from mammogan.training.run.optimizer import Precision
from mammogan.training.run.preflight import check_gan_inputs
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.training.run.start_from import start_inputs
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
        "cad_sha256": cad_source(workspace, resolution, config.cad).sha256(),
        **sources_of(generator=config.generator),
        **start_inputs(Run(workspace.gan_run(resolution, direction)), config.start_from),
    }


def notes_on_cad(training: AgainstCad, cad: CadSource, shards: ShardIndex) -> list[str]:
    """Say before the first step what a GAN cannot learn from its CAD. A CAD whose run does not record how it reads, as
    those of earlier versions or of --cad, reads validation now.

    Raises UserError if the CAD does not read better than chance, unless ``allow_weak_cad``.
    """
    reading = reading_of_run(cad.run) if cad.run else None
    if reading is None:
        by_label = {
            training.direction.source: training.validation,
            training.direction.target: training.validation_targets,
        }
        reading = read_validation(
            training.cad, by_label["positive"], by_label["negative"], training.precision, training.ranks
        )
        refuse_weak(reading, cad.factory or cad.path, training.config.allow_weak_cad)
    source = training.direction.source
    right = {"positive": reading.positives_right, "negative": reading.negatives_right}[source]
    none = f"The CAD gets none of the validation {source}s right: no fooled rate can be measured (n/a in every epoch)."
    return [text for text in (_origin(training.config, cad, shards), notice(reading), "" if right else none) if text]


def _origin(config: GanConfig, cad: CadSource, shards: ShardIndex) -> str:
    """Return a warning of a CAD of --cad that may have been trained on these validation mammograms."""
    trained_on = cad.trained_on() if config.cad else shards.fingerprint
    if trained_on is not None and shards.added_since(trained_on) is not None:
        return ""
    return (
        f"WARNING: the CAD {cad.name} was trained on other mammograms than these, or does not say on which (origin "
        "unknown). If some of these women are among them, the fooled rates are not those of new women"
    )


class AgainstCad(Protocol):
    """A training of a generator that is to fool a CAD."""

    config: GanConfig
    direction: Direction
    cad: Critic
    validation: ShardImages
    validation_targets: ShardImages
    precision: Precision
    ranks: Ranks


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
