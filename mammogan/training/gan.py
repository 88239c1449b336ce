"""Trains one generator against its discriminator (Eq. 4-8, section 5), and keeps the best one of a living critic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mammogan.config import GanConfig
from mammogan.data.shards.index import ShardIndex
from mammogan.models.networks import unit_pixels
from mammogan.models.penalty import method_for
from mammogan.training.both_objectives import checked_gan_inputs, judge, notes_on_cad
from mammogan.training.critic_watch import as_judged, change, watch
from mammogan.training.gan_state import Best, GanTraining
from mammogan.training.gan_steps import fakes_without_graph
from mammogan.training.lesion import train as train_lesion
from mammogan.training.lesion_bank import train as bank_lesions
from mammogan.training.phases import Phase
from mammogan.training.run.cad_source import cad_source
from mammogan.training.run.checkpointer import Checkpointer
from mammogan.training.run.preemption import with_signals_blocked_at_start
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.training.start import Start, joined_for, resumed
from mammogan.training.validation import Fooled, fooled, is_due
from mammogan.workspace import Direction, Resolution, Workspace

SHOWN = 4
"""Number of validation mammograms in the pictures of an epoch."""
IDENTITY_VALIDATES_LESS_OFTEN = 5
"""The identity phase validates this many times less often, since no best generator is chosen from it."""


def train_gan(config: GanConfig, direction: Direction, workspace: Workspace) -> None:
    """Train, or resume from the newest checkpoint, until the last phase has ended; done.json is written last.

    With the lesion objective, lesion.py trains the remover and lesion_bank.py makes the inserter.

    Raises MissingInput when shards or CAD are missing. Raises UserError for a run that was started with other settings,
    or for a run folder that the ranks do not share.
    """
    if config.objective == "lesion":
        if direction is Direction.INSERT:
            bank_lesions(config, workspace)
        else:
            train_lesion(config, workspace)
        return
    resolution = Resolution.parse(config.resolution)
    run, shards = Run(workspace.gan_run(resolution, direction)), workspace.shards(resolution)
    with joined_for(run, config, lambda: checked_gan_inputs(config, direction, workspace), shards) as start:
        if start is not None:
            training = GanTraining(config, direction, workspace, start.ranks, start.resumes)
            cad = cad_source(workspace, resolution, config.cad)
            _train(training, start, notes_on_cad(training, cad, ShardIndex.load(shards)))


def _train(training: GanTraining, start: Start, notes: Sequence[str]) -> None:
    # Resume.
    networks, method = f"{training.precision}, {training.gnet_stepper.kind} Adam", _method(training)
    plain = ["The discriminator cannot take the fast gradient penalty; plain autograd computes it instead."]
    is_taken = method == training.config.compute.penalty
    with resumed(training, start, networks, [*notes, *([] if is_taken else plain)]) as checkpointer:
        # Train.
        _train_phase(training, checkpointer, checkpointer.reporter)
        while training.phase + 1 < len(training.phases):
            training.next_phase()
            _train_phase(training, checkpointer, checkpointer.reporter)
        # Finish.
        checkpointer.wait()
        if start.ranks.first:
            start.run.finish({**_summary(training), "penalty_method": method})


def _method(training: GanTraining) -> str:
    return method_for(training.critic, training.config.compute).method


def _summary(training: GanTraining) -> dict[str, Any]:
    """Return the facts for done.json. If the critic was never alive, there is no best generator."""
    best = training.best
    figures = {"fooled": best.fooled, "identity": best.identity} if best else None
    return {"epochs": training.epoch, "best_on_validation": figures, "critic": training.critic_life.summary()}


def _train_phase(training: GanTraining, checkpointer: Checkpointer, reporter: Reporter) -> None:
    """Train the current phase until its stop rule holds or its epochs are over."""
    phase = training.phases[training.phase]
    critic_step, gnet_step = training.steps_of(phase)
    while training.ended_by is None and training.phase_epoch < phase.epochs:
        _train_epoch(training, phase, critic_step, gnet_step, checkpointer, reporter)
        means = training.figures.means()
        _validate(training, phase, means, checkpointer, reporter)
        # Stop rule.
        if phase.stop is not None and phase.stop.holds(means):
            training.ended_by = str(phase.stop)
        training.next_epoch()
        if training.ended_by or training.phase_epoch >= phase.epochs:
            ended_by = training.ended_by or f"its cap of {phase.epochs} epochs"
            reporter.event("phase", phase=phase.name, ended_by=ended_by, epoch=training.epoch)
            reporter.note(f"{checkpointer.name}: phase {phase.name} ended by {ended_by}")
            if not phase.adversarial:
                checkpointer.identity(training.generator())
        # Save state.
        checkpointer.save()
        checkpointer.pause()


def _train_epoch(
    training: GanTraining,
    phase: Phase,
    critic_step: nn.Module,
    gnet_step: nn.Module,
    checkpointer: Checkpointer,
    reporter: Reporter,
) -> None:
    """Train the remaining batches of an epoch: each updates the discriminator, the generator, or both."""
    config = training.config
    for batch in with_signals_blocked_at_start(training.stream.epoch(training.epoch, training.batch)):
        place = (training.epoch, training.batch)
        target, source = training.batches.pixels(batch, *place)
        # Update discriminator.
        if phase.critic_parts:
            keep = training.batches.keep(training.critic.fnet, 2, *place, "dropout")
            with training.precision.autocast():
                fake = fakes_without_graph(training.gnet, source)
                losses = critic_step(target, fake, keep)
            training.figures.add(losses, training.critic_stepper.step(losses["loss"]))
            del losses  # frees the tensors that its graph holds
        # Update generator.
        batches_before = training.epoch * training.stream.batches + training.batch
        if phase.trains_gnet and batches_before % phase.gnet_every == phase.gnet_every - 1:
            keep = training.batches.keep(training.critic.fnet, 1, *place, "dropout of the generator's step")
            with training.precision.autocast():
                losses = gnet_step(source, keep)
            training.figures.add(losses, training.gnet_stepper.step(losses["loss"]))
            del losses
        training.batch += 1
        done = batches_before + 1
        total = done + training.batches_left_at_most()
        reporter.batch(done, total, 2 * config.pairs, training.epoch, phase.name)
        # Save state.
        checkpointer.pause()


def _validate(
    training: GanTraining, phase: Phase, means: dict[str, float], checkpointer: Checkpointer, reporter: Reporter
) -> None:
    """Report the epoch: what the critic sees and how often the CAD is fooled; keep the best generator of a live critic.

    All measurements come before anything is recorded: if the training is stopped in between, it repeats all of them.
    """
    skipped = training.critic_stepper.skipped + training.gnet_stepper.skipped
    facts: dict[str, Any] = {"phase": phase.name, **means, "skipped": skipped, **_watch(training, phase, checkpointer)}
    found: Fooled | None = None
    if phase.trains_gnet and _is_validated(training, phase, means):
        found = _fooled(training, checkpointer)
        facts |= found.facts()
        _show(training, reporter)
    if not phase.adversarial:
        training.reproduction = facts["change"]
    elif phase.trains_gnet:
        judged = (training.critic_life, training.epoch, facts, training.reproduction)
        facts["critic_alive"] = judge(*judged, _advice(training.config), reporter)
        if facts["critic_alive"] and found:
            facts["kept"] = _keep_best(training, found, checkpointer)
    reporter.epoch(training.epoch, **facts)


def _is_validated(training: GanTraining, phase: Phase, means: dict[str, float]) -> bool:
    """Whether validation follows the current epoch. In the identity phase it follows the first one, and then each that
    is five times ``validate_every`` later, so that the logs of earlier versions can be continued."""
    every, epochs = training.config.validate_every, training.phase_epoch + 1
    if not phase.adversarial:
        return training.phase_epoch % (every * IDENTITY_VALIDATES_LESS_OFTEN) == 0
    return is_due(epochs, every, epochs >= phase.epochs or (phase.stop is not None and phase.stop.holds(means)))


def _watch(training: GanTraining, phase: Phase, checkpointer: Checkpointer) -> dict[str, Any]:
    """Measure the critic and Gnet's change on the watched mammograms; before the adversarial phases only the change."""
    (targets, sources), critic, gnet = training.watched, training.critic, training.gnet
    settings: dict[str, Any] = {"ranks": training.ranks, "dtype": training.precision.full, "pause": checkpointer.pause}
    with as_judged(critic, gnet):
        if phase.adversarial:
            return vars(watch(critic.score, gnet, targets, sources, prepare=critic.normalise, **settings))
        return {"change": change(gnet, sources, **settings)}


def _advice(config: GanConfig) -> str:
    """Return advice on what may keep the critic alive, leaving out what this configuration already does."""
    frozen = "" if config.epochs[-1] == 0 else "Vnet frozen (0 as the last of --epochs), "
    return (
        f"train again with more identity epochs (the first of --epochs, now {config.epochs[0]}), --lr-dnet below "
        f"{config.lr_dnet:g}, {frozen}or --gnet-every above {config.gnet_every}"
    )


def _fooled(training: GanTraining, checkpointer: Checkpointer) -> Fooled:
    """Measure on validation how often Gnet fools the CAD."""
    label = int(training.direction.source == "positive")
    measured_with = (training.precision, training.ranks, checkpointer.pause)
    return fooled(
        training.gnet,
        training.cad,
        training.validation,
        label,
        *measured_with,
        training.targets_log_odds(checkpointer.pause),
    )


def _keep_best(training: GanTraining, found: Fooled, checkpointer: Checkpointer) -> bool:
    """Keep the generator with the highest score on validation (fooled rate, movement, change); of equals, the first.
    Return whether this one is kept."""
    if found.identity is None or not math.isfinite(found.score):
        return False
    if training.best is not None and found.score <= training.best.score:
        return False
    training.best = Best(found.rate, found.identity, found.score)
    figures = {
        "validation_fooled": found.rate,
        "validation_identity": found.identity,
        "validation_rank": found.score,
    }
    checkpointer.best({**training.generator(), "epoch": training.epoch + 1, **figures})
    return True


@torch.no_grad()
def _show(training: GanTraining, reporter: Reporter) -> None:
    """Save a picture of a few validation mammograms: real | fake | difference."""
    if training.ranks.first and len(training.validation):
        shown = torch.stack([training.validation[i] for i in range(min(SHOWN, len(training.validation)))])
        real = unit_pixels(shown.to(training.ranks.device)).to(training.precision.full)
        training.gnet.eval()
        fake = training.gnet(real)
        training.gnet.train()
        reporter.triplets(training.epoch, real, fake)
