"""Trains the classifier (Eq. 1-3, the schedule of the study's section 5), and keeps the best epoch on validation."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mammogan.config import CLASSIFIER, CadConfig
from mammogan.data.loading.augment import Augmentation
from mammogan.data.shards.reader import ShardImages, shards_fingerprint
from mammogan.errors import UserError
from mammogan.models.networks import Critic
from mammogan.models.penalty import method_for
from mammogan.models.registry import build_classifier, sources_of
from mammogan.models.vgg_weights import load_vgg_weights
from mammogan.models.weight_values import fill
from mammogan.training.adversarial import attacked, random_start
from mammogan.training.batches import Batches
from mammogan.training.cad_reading import reading_of
from mammogan.training.cad_step import CadStep
from mammogan.training.epoch_means import EpochMeans
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.cad_record import READING, CadReading, notice
from mammogan.training.run.checkpoint_kind import with_weights
from mammogan.training.run.checkpointer import Checkpointer
from mammogan.training.run.model_card import CARD, CLASSIFIES, model_card
from mammogan.training.run.optimizer import Stepper
from mammogan.training.run.preemption import with_signals_blocked_at_start
from mammogan.training.run.preflight import as_learned, check_cad_inputs, named_weights
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.training.run.start_from import start_inputs, start_state
from mammogan.training.start import Start, joined_for, resumed
from mammogan.training.validation import auc, cross_entropy, probabilities
from mammogan.workspace import Resolution, Workspace

FIGURES = ("focal", "penalty")
"""Figures of an epoch that are always logged; whatever else a step returns is logged too."""


class CadTraining:
    """All objects of one training of the CAD; ``state`` and ``restore`` define what survives a restart."""

    def __init__(self, config: CadConfig, workspace: Workspace, ranks: Ranks, resumes: bool = False) -> None:
        self.config, self.ranks = config, ranks
        resolution = Resolution.parse(config.resolution)
        self.folder = folder = workspace.shards(resolution)
        self.card = model_card(CLASSIFIES, workspace, resolution)
        positives, negatives = (ShardImages(folder, "train", label) for label in ("positive", "negative"))
        self.validation = [ShardImages(folder, "validation", label) for label in ("positive", "negative")]
        augmentation = Augmentation(config.rotation, config.shear, config.scale)
        self.batches = Batches.of(positives, negatives, augmentation, config, config, ranks)
        self.stream, self.precision = self.batches.stream, self.batches.precision
        self.cad, self.sources = self._network(resumes), sources_of(classifier=config.classifier)
        groups = [{"params": [*self.cad.fnet.parameters(), *self.cad.last.parameters()], "lr": config.lr_fnet}]
        groups += [{"params": list(self.cad.vnet.parameters()), "lr": config.lr_vnet}]
        self.stepper = Stepper(groups, config.compute, self.precision, ranks)
        self.average = copy.deepcopy(self.cad).requires_grad_(False) if config.average else None
        self.epoch = self.batch = 0
        self.figures = EpochMeans(FIGURES, ranks)
        self.best: float | None = None
        """Figure of the epoch that is kept: its validation AUC or loss, as ``config.keep`` says."""
        self.reading: dict[str, Any] | None = None
        """How well the kept network reads validation, ``CadReading`` as plain values."""
        self.lines = 0

    @property
    def kept_network(self) -> Critic:
        """The network that is validated and kept: the averaged one, or the learning one without averaging."""
        return self.average or self.cad

    @property
    def batches_before(self) -> int:
        """Finished batches of the whole training."""
        return self.epoch * self.stream.batches + self.batch

    def set_rates(self) -> None:
        """Set the learning rates of the next batch."""
        factor = rate_factor(self.config, self.batches_before, self.config.epochs * self.stream.batches)
        self.stepper.learning_rates(self.config.lr_fnet * factor, self.config.lr_vnet * factor)

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights towards the learning ones.

        The first batches move them faster, because their weights are mostly noise.
        """
        if self.average is None:
            return
        done = self.batches_before
        weight = 1 - min(self.config.average, (done + 1) / (done + 10))
        for averaged, now in zip(self.average.parameters(), self.cad.parameters(), strict=True):
            averaged.lerp_(now, weight)
        for kept, learning in zip(self.average.buffers(), self.cad.buffers(), strict=True):
            kept.copy_(learning)  # what a class of one's own counts or estimates beside its weights

    def _network(self, resumes: bool) -> Critic:
        """Build the CAD from the seed; a new training also loads ImageNet weights and scales the last layer."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            cad = build_classifier(self.config.classifier, self.config.width)
        if not resumes and self.config.start_from:
            ours = {"arch": self.config.classifier, "width": self.config.width}
            begun = start_state(self.config.start_from, "cad", ours, self.folder)
            with_weights(Path(self.config.start_from), begun, lambda: fill(cad, begun["cad"]))
        elif not resumes:
            if self.config.vgg_weights != "none":
                load_vgg_weights(cad.vnet, self.config.vgg_weights, self.config.width)
            with torch.no_grad():
                cad.last.weight.mul_(self.config.last_scale)  # type: ignore[operator]
        return self.precision.place(cad)

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint. All ranks must call it together."""
        return {
            "kind": "cad",
            "arch": self.config.classifier,
            **self.sources,
            CARD: self.card,
            "width": self.config.width,
            "cad": self.kept_network.state_dict(),
            **({"learning": self.cad.state_dict()} if self.average else {}),
            "stepper": self.stepper.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self.figures.state(),
            "best": self.best,
            READING: self.reading,
            "lines": self.lines,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.kept_network.load_state_dict(state["cad"])
        self.cad.load_state_dict(state.get("learning", state["cad"]))
        self.stepper.load_state_dict(state["stepper"])
        self.epoch, self.batch, self.best, self.lines = (state[k] for k in ("epoch", "batch", "best", "lines"))
        self.reading = state.get(READING)
        self.figures.restore(_sums_of(state))

    def adopt(self, best: dict[str, Any]) -> None:
        """Take the best validation figure from best.pt if it is newer than the restored state."""
        if best["epoch"] > self.epoch:
            self.best, self.reading = best[f"validation_{self.config.keep}"], best.get(READING)

    def wrapped_step(self) -> nn.Module:
        """Wrap the step for the ranks again, with Vnet frozen or not, as this epoch needs."""
        self.cad.vnet.requires_grad_(self.epoch >= self.config.fnet_epochs)
        return self.ranks.wrap(CadStep(self.cad, self.config, averaged=self.ranks.size > 1))


def rate_factor(config: CadConfig, batch: int, batches: int) -> float:
    """Return by what the learning rates are multiplied at ``batch`` (from 0) of ``batches``: warm-up times decay."""
    rise = min(1.0, (batch + 1) / config.warm_up) if config.warm_up else 1.0
    return rise * (0.5 * (1 + math.cos(math.pi * batch / batches)) if config.lr_decay == "cosine" else 1.0)


def train_cad(config: CadConfig, workspace: Workspace) -> None:
    """Train, or resume from the newest checkpoint, until the last epoch; done.json is written last.

    Raises MissingInput when there are no shards. Raises UserError for settings that do not fit, for a run that was
    started with other settings, or for a run folder that the ranks do not share.
    """
    config = as_learned(config)
    run = Run(workspace.cad_run(Resolution.parse(config.resolution)))
    with joined_for(run, config, lambda: _checked_inputs(config, workspace), _shards(config, workspace)) as start:
        if start is not None:
            _refuse_another_length(config, run)
            _train(config, workspace, start)


def _checked_inputs(config: CadConfig, workspace: Workspace) -> dict[str, Any]:
    """Check that everything the training needs is there; return what config.yaml records besides the settings."""
    check_cad_inputs(config, workspace)
    own = sources_of(classifier=config.classifier)
    start = start_inputs(Run(workspace.cad_run(Resolution.parse(config.resolution))), config.start_from)
    return {"shards_sha256": shards_fingerprint(_shards(config, workspace)), **start, **named_weights(config), **own}


def _shards(config: CadConfig, workspace: Workspace) -> Path:
    return workspace.shards(Resolution.parse(config.resolution))


def _refuse_another_length(config: CadConfig, run: Run) -> None:
    """Raise UserError if the number of epochs changed and the learning rates fall to 0 at the last epoch."""
    begun = run.epochs
    if config.lr_decay == "cosine" and begun not in (None, config.epochs):
        raise UserError(
            f"{run.path} was started with --epochs {begun}, and its learning rates are 0 at the last of them "
            f"(--lr-decay cosine): it cannot continue to epoch {config.epochs}. Remove the folder to train again"
        )


def _train(config: CadConfig, workspace: Workspace, start: Start) -> None:
    # Load data and network.
    training = CadTraining(config, workspace, start.ranks, start.resumes)
    # Resume.
    method = method_for(training.cad, config.compute).method
    networks = f"{training.precision}, {training.stepper.kind} Adam"
    with resumed(training, start, networks, _notes(config, method)) as checkpointer:
        # Train.
        while training.epoch < config.epochs:
            _train_epoch(training, checkpointer, checkpointer.reporter)
        # Finish.
        checkpointer.wait()
        if start.ranks.first:
            best = {f"best_validation_{config.keep}": training.best, READING: training.reading}
            start.run.finish({"epochs": training.epoch, **best, "penalty_method": method})
            if warning := notice(CadReading.of(training.reading)):
                checkpointer.reporter.note(f"{start.run.path.name}: {warning} Train it for longer.")


def _notes(config: CadConfig, method: str) -> Iterator[str]:
    """Yield what to report before the first step; ``method`` is how the gradient penalty is differentiated."""
    if config.classifier != CLASSIFIER:
        yield f"{config.classifier} is trained from the first epoch (--vgg-weights and --fnet-epochs do not apply)."
    elif config.vgg_weights == "none" and not config.start_from:
        yield "Vnet starts random, so everything is trained from the first epoch."
    if method != config.compute.penalty:
        yield f"{config.classifier} cannot take the fast gradient penalty; plain autograd computes it instead."


def _train_epoch(training: CadTraining, checkpointer: Checkpointer, reporter: Reporter) -> None:
    """Train the remaining batches of an epoch, validate, report, and save."""
    config, stream, ranks = training.config, training.stream, training.ranks
    step = training.wrapped_step()
    training.cad.train()
    began = time.monotonic()
    resumed_at = training.batch
    for batch in with_signals_blocked_at_start(stream.epoch(training.epoch, training.batch)):
        # Update weights.
        place = (training.epoch, training.batch)
        training.set_rates()
        positives, negatives = training.batches.pixels(batch, *place)
        keep = training.batches.keep(training.cad.fnet, 2, *place, "dropout")
        with training.precision.autocast():
            if config.adversarial_training != "none":
                start = random_start(training.batches, (positives.shape[2], positives.shape[3]), *place)
                how = config.adversarial_training, config.adversarial_budget
                positives, negatives = attacked(training.cad, positives, negatives, keep, start, *how)
            losses = step(positives, negatives, keep)
        training.figures.add(losses, training.stepper.step(losses["loss"]))
        training.update_average()
        del losses  # frees the tensors that its graph holds
        training.batch += 1
        reporter.batch(
            training.epoch * stream.batches + training.batch,
            config.epochs * stream.batches,
            2 * config.pairs,
            training.epoch,
        )
        # Save state.
        checkpointer.pause()
    # Validate.
    seconds = time.monotonic() - began
    scores = [
        probabilities(training.kept_network, images, training.precision, ranks, checkpointer.pause)
        for images in training.validation
    ]
    validated = {"auc": auc(*scores), "loss": cross_entropy(*scores)}
    reporter.epoch(
        training.epoch,
        phase="fnet" if training.epoch < config.fnet_epochs else "all",
        **dict.fromkeys(FIGURES, 0.0) | training.figures.means(),
        validation_auc=validated["auc"],
        validation_loss=validated["loss"],
        images_per_second=(training.batch - resumed_at) * 2 * config.pairs / seconds,
        skipped=training.stepper.skipped,
    )
    # Save state.
    training.epoch, training.batch = training.epoch + 1, 0
    training.figures.clear()
    value = validated[config.keep]
    if training.best is None or (value is not None and _is_better(value, training.best, config)):
        training.best, training.reading = value, vars(reading_of(scores, training.validation, ranks))
        facts = {f"validation_{name}": figure for name, figure in validated.items()}
        origin = {"kind": "cad", "arch": config.classifier, "width": config.width, "epoch": training.epoch}
        origin |= training.sources | {CARD: training.card}
        checkpointer.best({**origin, **facts, READING: training.reading, "cad": training.kept_network.state_dict()})
    checkpointer.save()
    checkpointer.pause()


def _sums_of(state: dict[str, Any]) -> Any:
    """The sums in a checkpoint. Version 0.1 had, for each rank, focal, penalty and the number of batches."""
    sums = state["sums"]
    return [[[focal, n], [penalty, n]] for focal, penalty, n in sums] if isinstance(sums, list) else sums


def _is_better(value: float, best: float, config: CadConfig) -> bool:
    return value < best if config.keep == "loss" else value > best
