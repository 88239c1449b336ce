"""Training of the lesion objective's remover: its changes are small and sparse, and its critic is a new network.

Run folder, checkpoints, ranks, precision and pre-emption are as for the study's objective (gan.py); networks, losses
and the single phase are its own. docs/lesion_objective.md has the equations and the purpose of each term.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mammogan.config import GanConfig
from mammogan.data.loading.augment import Augmentation
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import ShardImages
from mammogan.models.lesion import Grid, LesionCritic, LesionGenerator
from mammogan.training.batches import Batches
from mammogan.training.both_objectives import checked_gan_inputs, judge, notes_on_cad
from mammogan.training.critic_life import CriticLife
from mammogan.training.critic_watch import WATCHED, as_judged, own_pictures, watch
from mammogan.training.epoch_means import EpochMeans
from mammogan.training.lesion_steps import LesionCriticStep, LesionGeneratorStep
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.cad_source import cad_source
from mammogan.training.run.checkpointer import Checkpointer
from mammogan.training.run.model_card import CARD, GENERATES, model_card
from mammogan.training.run.optimizer import Stepper
from mammogan.training.run.preemption import with_signals_blocked_at_start
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.training.run.trained_networks import load_source
from mammogan.training.start import Start, joined_for, resumed
from mammogan.training.validation import Pause, fooled, is_due, mean_log_odds
from mammogan.workspace import Direction, Resolution, Workspace

ARCH = "residual-map"
PHASE = "lesion"
FIGURES = ("critic", "gap", "r1", "generator", "map", "map_of_targets")
SHOWN = 4
ADVICE = (
    "train again with --lesion.critic-first higher, --lesion.r1 lower, or --lesion.untouched 1; look at the pictures: "
    "is a lesion a few cells wide (--lesion.cells)?"
)


class LesionTraining:
    """All objects of one training; ``state`` and ``restore`` define what survives a restart."""

    def __init__(self, config: GanConfig, workspace: Workspace, ranks: Ranks) -> None:
        self.config, self.lesion, self.direction, self.ranks = config, config.lesion, Direction.REMOVE, ranks
        resolution = Resolution.parse(config.resolution)
        folder = workspace.shards(resolution)
        self.card = model_card(GENERATES.format(target=self.direction.target), workspace, resolution)
        targets, sources = (ShardImages(folder, "train", s) for s in (self.direction.target, self.direction.source))
        self.watched = [own_pictures(images, WATCHED, ranks) for images in (targets, sources)]
        self.validation = ShardImages(folder, "validation", self.direction.source)
        self.validation_targets = ShardImages(folder, "validation", self.direction.target)
        self._targets_log_odds: float | None = None
        augmentation = Augmentation(rotation=0, shear=0, shift=self.lesion.shift)
        self.batches = Batches.of(targets, sources, augmentation, config, self.lesion, ranks)
        self.stream, self.precision = self.batches.stream, self.batches.precision
        self.grid = Grid.of(resolution.height, self.lesion.cells)
        self.cad = self.precision.place(load_source(cad_source(workspace, resolution, config.cad)))
        self._build_networks()
        self.critic_stepper = self._stepper(self.critic)
        self.generator_stepper = self._stepper(self.generator)
        self.epoch = self.batch = self.lines = 0
        self.critic_life = CriticLife()
        self.figures = EpochMeans(FIGURES, ranks)

    def _build_networks(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            generator = LesionGenerator(self.grid, self.config.width)
            critic = LesionCritic(self.grid, self.config.width)
        self.generator, self.critic = self.precision.place(generator), self.precision.place(critic)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        """The moving average of the generator's weights, which is validated and kept."""

    def _stepper(self, network: nn.Module) -> Stepper:
        groups = [{"params": list(network.parameters()), "lr": self.lesion.lr}]
        return Stepper(groups, self.config.compute, self.precision, self.ranks)

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint. All ranks must call it together.

        ``gnet`` is the averaged generator, ``generator`` the one that learns.
        """
        return {
            "kind": "gan",
            "arch": ARCH,
            "objective": "lesion",
            CARD: self.card,
            "direction": str(self.direction),
            "width": self.config.width,
            "cell": self.grid.cell,
            "fine_levels": self.grid.fine_levels,
            "gnet": self.average.state_dict(),
            "generator": self.generator.state_dict(),
            "critic": self.critic.state_dict(),
            "gnet_stepper": self.generator_stepper.state_dict(),
            "critic_stepper": self.critic_stepper.state_dict(),
            "phase": PHASE,
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self.figures.state(),
            "critic_life": vars(self.critic_life),
            "lines": self.lines,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.average.load_state_dict(state["gnet"])
        self.generator.load_state_dict(state["generator"])
        self.critic.load_state_dict(state["critic"])
        self.generator_stepper.load_state_dict(state["gnet_stepper"])
        self.critic_stepper.load_state_dict(state["critic_stepper"])
        self.epoch, self.batch, self.lines = state["epoch"], state["batch"], state["lines"]
        self.critic_life = CriticLife.of_state(state["critic_life"])
        self.figures.restore(state["sums"])

    def adopt(self, best: dict[str, Any]) -> None:
        """Do nothing: there is no best generator, the last averaged one is the result."""

    def targets_log_odds(self, pause: Pause) -> float | None:
        """Return the CAD's mean log-odds of validation targets, the reference for movements; measured once."""
        if self._targets_log_odds is None:
            images = self.validation_targets
            self._targets_log_odds = mean_log_odds(self.cad, images, self.precision, self.ranks, pause)
        return self._targets_log_odds

    @property
    def epoch_learns(self) -> bool:
        """Whether the generator learns during all of this epoch."""
        return self.epoch * self.stream.batches >= self.lesion.critic_first

    @property
    def batches_before(self) -> int:
        """Finished batches of the whole training."""
        return self.epoch * self.stream.batches + self.batch

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights towards the learning ones."""
        for averaged, now in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            averaged.lerp_(now, 1 - self.lesion.average)


def train(config: GanConfig, workspace: Workspace) -> None:
    """Train the remover of lesions, or resume from the newest checkpoint; done.json is written last.

    Raises MissingInput when shards or CAD are missing. Raises UserError for a run that was started with other settings,
    or for a run folder that the ranks do not share.
    """
    resolution = Resolution.parse(config.resolution)
    run, shards = Run(workspace.gan_run(resolution, Direction.REMOVE)), workspace.shards(resolution)
    with joined_for(run, config, lambda: checked_gan_inputs(config, Direction.REMOVE, workspace), shards) as start:
        if start is not None:
            training = LesionTraining(config, workspace, start.ranks)
            cad = cad_source(workspace, resolution, config.cad)
            _train(training, start, notes_on_cad(training, cad, ShardIndex.load(shards)))


def _train(training: LesionTraining, start: Start, notes: Sequence[str]) -> None:
    # Resume.
    networks = f"lesion objective, cells of {training.grid.cell} pixels, {training.precision}"
    with resumed(training, start, networks, notes) as checkpointer:
        # Train.
        while training.epoch < training.lesion.epochs:
            _train_epoch(training, checkpointer, checkpointer.reporter)
            _validate(training, checkpointer, checkpointer.reporter)
            # Save state.
            training.epoch, training.batch = training.epoch + 1, 0
            training.figures.clear()
            checkpointer.save()
            checkpointer.pause()
        # Finish.
        checkpointer.wait()
        if start.ranks.first:
            life = training.critic_life.summary()
            start.run.finish({"epochs": training.epoch, "kept": "the last averaged weights", "critic": life})


def _train_epoch(training: LesionTraining, checkpointer: Checkpointer, reporter: Reporter) -> None:
    lesion, ranks = training.lesion, training.ranks
    critic_step = ranks.wrap(LesionCriticStep(training.critic, lesion))
    generator_step = ranks.wrap(LesionGeneratorStep(training.generator, training.critic, lesion))
    for batch in with_signals_blocked_at_start(training.stream.epoch(training.epoch, training.batch)):
        before = training.batches_before
        target, source = training.batches.pixels(batch, training.epoch, training.batch)
        # Update critic.
        with training.precision.autocast():
            with torch.no_grad():
                adversarial = training.generator(source)
            losses = critic_step(target, source, adversarial, before % lesion.r1_every == 0)
        training.figures.add(losses, training.critic_stepper.step(losses["loss"]))
        # Update generator.
        if before >= lesion.critic_first:
            with training.precision.autocast():
                losses = generator_step(target, source)
            training.figures.add(losses, training.generator_stepper.step(losses["loss"]))
            training.update_average()
        del losses  # frees the tensors that its graph holds
        training.batch += 1
        total = lesion.epochs * training.stream.batches
        reporter.batch(before + 1, total, 2 * lesion.pairs, training.epoch, PHASE)
        # Save state.
        checkpointer.pause()


def _validate(training: LesionTraining, checkpointer: Checkpointer, reporter: Reporter) -> None:
    """Report the epoch: what the critic sees and how often the CAD is fooled.

    All measurements come before anything is recorded: if the training is stopped in between, it repeats all of them.
    """
    skipped = training.critic_stepper.skipped + training.generator_stepper.skipped
    facts: dict[str, Any] = {
        "phase": PHASE,
        **training.figures.means(),
        "skipped": skipped,
        **_watch(training, checkpointer),
    }
    epochs = training.epoch + 1
    if is_due(epochs, training.config.validate_every, epochs >= training.lesion.epochs):
        measured_with = (training.precision, training.ranks, checkpointer.pause)
        odds = training.targets_log_odds(checkpointer.pause)
        found = fooled(training.average, training.cad, training.validation, 1, *measured_with, odds)
        facts |= found.facts()
        _show(training, reporter)
    if training.epoch_learns:
        facts["critic_alive"] = judge(training.critic_life, training.epoch, facts, 0.0, ADVICE, reporter)
    reporter.epoch(training.epoch, **facts)


def _watch(training: LesionTraining, checkpointer: Checkpointer) -> dict[str, Any]:
    """Measure the critic on the watched mammograms; its gradient is with respect to the cells, which are its input."""
    (targets, sources), grid = training.watched, training.grid
    settings: dict[str, Any] = {"ranks": training.ranks, "dtype": training.precision.full, "pause": checkpointer.pause}
    with as_judged(training.critic, training.average):
        return vars(watch(training.critic.judge, training.average, targets, sources, prepare=grid.pooled, **settings))


@torch.no_grad()
def _show(training: LesionTraining, reporter: Reporter) -> None:
    """Save a picture of a few validation mammograms: original | adversarial | difference."""
    images = training.validation
    if training.ranks.first and len(images):
        shown = torch.stack([images[i] for i in range(min(SHOWN, len(images)))])
        original = training.batches.as_floats(shown)
        reporter.triplets(training.epoch, original, training.average(original))
