"""Training of the classifier: Eq. 1-3 over the schedule of the study's section 5."""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import torch
from torch import Tensor, nn

from mammogan.config import CadConfig, Resolution, UserError, Workspace
from mammogan.data.augment import Augmentation
from mammogan.data.stream import PairedStream, ShardImages, shards_fingerprint
from mammogan.models.networks import Cad
from mammogan.models.vgg_weights import load_vgg_weights
from mammogan.terminal import say
from mammogan.training.batches import Batches
from mammogan.training.cad_step import CadStep
from mammogan.training.checkpoint import Run
from mammogan.training.distributed import Ranks, joined
from mammogan.training.inputs import as_learned, check_cad_inputs, named_weights
from mammogan.training.keeping import Keeper
from mammogan.training.optimisation import Precision, Stepper
from mammogan.training.preemption import sheltered
from mammogan.training.progress import Reporter
from mammogan.training.saving import resume
from mammogan.training.shared_folder import check_shared
from mammogan.training.validation import auc, cross_entropy, probabilities


class CadTraining:
    """Everything one training of the CAD consists of; ``state`` and ``restore`` are what survives a restart."""

    def __init__(self, config: CadConfig, workspace: Workspace, ranks: Ranks, resumes: bool = False) -> None:
        self.config, self.ranks = config, ranks
        folder = workspace.shards(Resolution.parse(config.resolution))
        workers = config.compute.loader_workers
        train = (ShardImages(folder, "train", "positive"), ShardImages(folder, "train", "negative"))
        self.stream = PairedStream(
            *train,
            config.pairs,
            config.seed,
            ranks.rank,
            ranks.size,
            workers,
            config.epoch_batches,
            ranks.device.type == "cuda",
        )
        self.validation = [ShardImages(folder, "validation", label) for label in ("positive", "negative")]
        self.precision = Precision.choose(config.compute.precision, ranks.device)
        augmentation = Augmentation(config.rotation, config.shear, config.scale)
        self.batches = Batches(self.stream, augmentation, self.precision, config.seed)
        self.cad = self._network(resumes)
        groups = [{"params": [*self.cad.fnet.parameters(), *self.cad.last.parameters()], "lr": config.lr_fnet}]
        groups += [{"params": list(self.cad.vnet.parameters()), "lr": config.lr_vnet}]
        self.stepper = Stepper(groups, config.compute, self.precision, ranks)
        self.average = copy.deepcopy(self.cad).requires_grad_(False) if config.average else None
        self.epoch = self.batch = 0
        self.sums = torch.zeros(3, dtype=torch.float64, device=ranks.device)
        self.best: float | None = None
        """Of the epoch that is kept: its validation AUC, or its loss, as ``config.keep`` says."""
        self.lines = 0

    @property
    def kept(self) -> Cad:
        """The network that is validated and kept: the average, or the one that learns where none is asked for."""
        return self.average or self.cad

    @property
    def batches_before(self) -> int:
        return self.epoch * self.stream.batches + self.batch

    def set_rates(self) -> None:
        """Learning rates of the next batch."""
        factor = rate_factor(self.config, self.batches_before, self.config.epochs * self.stream.batches)
        self.stepper.learning_rates(self.config.lr_fnet * factor, self.config.lr_vnet * factor)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the averaged weights towards those that learn; faster in the first batches, whose weights are noise."""
        if self.average is None:
            return
        done = self.batches_before
        weight = 1 - min(self.config.average, (done + 1) / (done + 10))
        for kept, now in zip(self.average.parameters(), self.cad.parameters(), strict=True):
            kept.lerp_(now, weight)

    def _network(self, resumes: bool) -> Cad:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            cad = Cad(self.config.width)
        if not resumes:
            load_vgg_weights(cad.vnet, self.config.vgg_weights, self.config.width)
            with torch.no_grad():
                cad.last.weight.mul_(self.config.last_scale)  # type: ignore[operator]
        return self.precision.place(cad)

    def state(self) -> dict[str, Any]:
        """To be called by all ranks together."""
        return {
            "kind": "cad",
            "width": self.config.width,
            "cad": self.kept.state_dict(),
            **({"learning": self.cad.state_dict()} if self.average else {}),
            "stepper": self.stepper.state_dict(),
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self.ranks.gather(self.sums.tolist()),
            "best": self.best,
            "lines": self.lines,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.kept.load_state_dict(state["cad"])
        self.cad.load_state_dict(state.get("learning", state["cad"]))
        self.stepper.load_state_dict(state["stepper"])
        self.epoch, self.batch, self.best, self.lines = (state[k] for k in ("epoch", "batch", "best", "lines"))
        self.sums.copy_(self.ranks.own_part(state["sums"]))

    def adopt(self, best: dict[str, Any]) -> None:
        if best["epoch"] > self.epoch:
            self.best = best[f"validation_{self.config.keep}"]

    def add(self, losses: dict[str, Tensor], taken: Tensor) -> None:
        """Add one batch's figures to the sums of the epoch if its step was taken, without waiting for the device."""
        figures = [losses["focal"], losses["penalty"], torch.ones_like(losses["focal"])]
        self.sums += torch.stack(figures).detach().where(taken, 0)

    def wrapped_step(self) -> nn.Module:
        """The step with Vnet frozen or not, as this epoch has it, wrapped anew for the ranks."""
        self.cad.vnet.requires_grad_(self.epoch >= self.config.fnet_epochs)
        return self.ranks.wrap(CadStep(self.cad, self.config, averaged=self.ranks.size > 1))


def rate_factor(config: CadConfig, batch: int, batches: int) -> float:
    """What the learning rates are multiplied by in a batch, counted from 0, of so many."""
    rise = min(1.0, (batch + 1) / config.warm_up) if config.warm_up else 1.0
    return rise * (0.5 * (1 + math.cos(math.pi * batch / batches)) if config.lr_decay == "cosine" else 1.0)


def train(config: CadConfig, workspace: Workspace) -> None:
    """Train, or go on from the newest checkpoint, until the last epoch; done.json is written last.

    Raises MissingInput when there are no shards, UserError for settings that do not fit, a run begun with others, or a
    run folder that ranks do not share.
    """
    config = as_learned(config)
    resolution = Resolution.parse(config.resolution)
    run = Run(workspace.cad_run(resolution))
    with joined(config.compute.device) as ranks:
        check_shared(run.newest.parent, ranks)
        check_cad_inputs(config, workspace)
        inputs = {"shards_sha256": shards_fingerprint(workspace.shards(resolution)), **named_weights(config)}
        run.check(config, inputs)
        if ranks.any(run.is_finished(config)):
            say(f"{run.path.name}: trained before, nothing to do.")
            return
        _refuse_another_length(config, run)
        _train(config, workspace, run, inputs, ranks)


def _refuse_another_length(config: CadConfig, run: Run) -> None:
    """UserError when rates that fall to 0 at the last epoch were begun with another number of epochs."""
    begun = run.epochs
    if config.lr_decay == "cosine" and begun not in (None, config.epochs):
        raise UserError(
            f"{run.path} was begun with --epochs {begun}, at the last of which its rates are 0 (--lr-decay cosine): it "
            f"cannot go on to {config.epochs} as if it had always been so. Remove the folder to train anew"
        )


def _train(config: CadConfig, workspace: Workspace, run: Run, inputs: dict[str, Any], ranks: Ranks) -> None:
    # Load data and network.
    resumes = ranks.any(run.has_state)
    training = CadTraining(config, workspace, ranks, resumes)
    # Resume. What is there of a run is left as it is until it is sure that it can go on.
    told = resume(training, run) if resumes else []
    if ranks.first:
        run.begin(config, inputs)
    reporter = Reporter(run, run.path.name, ranks.first, config.compute.tensorboard, training.lines, training.epoch)
    reporter.note(
        f"{run.path.name}: {ranks.size} rank(s) on {ranks.device.type}, {training.precision}, "
        f"{training.stepper.kind} Adam, from epoch {training.epoch}, batch {training.batch}"
    )
    for sentence in told:
        reporter.note(f"{run.path.name}: {sentence}")
    if config.vgg_weights == "none":
        reporter.note("Vnet starts random, so everything is trained from the first epoch.")
    # Train.
    keeper = Keeper(training, run, reporter, config.compute.save_minutes)
    try:
        with keeper.asked.listening():
            while training.epoch < config.epochs:
                _train_epoch(training, keeper, reporter)
            # Finish.
            keeper.wait()
            if ranks.first:
                run.finish({"epochs": training.epoch, f"best_validation_{config.keep}": training.best})
    finally:
        reporter.close()


def _train_epoch(training: CadTraining, keeper: Keeper, reporter: Reporter) -> None:
    config, stream, ranks = training.config, training.stream, training.ranks
    step = training.wrapped_step()
    training.cad.train()
    began = time.monotonic()
    resumed_at = training.batch
    for batch in sheltered(stream.epoch(training.epoch, training.batch)):
        # Update weights.
        place = (training.epoch, training.batch)
        training.set_rates()
        positives, negatives = training.batches.pixels(batch, *place)
        keep = training.batches.keep(training.cad.fnet, 2, *place, "dropout")
        with training.precision.autocast():
            losses = step(positives, negatives, keep)
        training.add(losses, training.stepper.step(losses["loss"]))
        training.follow()
        del losses  # and with them what the graph still holds
        training.batch += 1
        reporter.batch(
            training.epoch * stream.batches + training.batch,
            config.epochs * stream.batches,
            2 * config.pairs,
            training.epoch,
        )
        # Save state.
        keeper.pause()
    # Validate.
    seconds = time.monotonic() - began
    scores = [
        probabilities(training.kept, images, training.precision, ranks, keeper.pause) for images in training.validation
    ]
    validated = {"auc": auc(*scores), "loss": cross_entropy(*scores)}
    focal_mean, penalty_mean, steps = ranks.mean(training.sums).tolist()
    reporter.epoch(
        training.epoch,
        phase="fnet" if training.epoch < config.fnet_epochs else "all",
        focal=focal_mean / max(steps, 1),
        penalty=penalty_mean / max(steps, 1),
        validation_auc=validated["auc"],
        validation_loss=validated["loss"],
        images_per_second=(training.batch - resumed_at) * 2 * config.pairs / seconds,
        skipped=training.stepper.skipped,
    )
    # Save state.
    training.epoch, training.batch = training.epoch + 1, 0
    training.sums.zero_()
    value = validated[config.keep]
    if training.best is None or (value is not None and _is_better(value, training.best, config)):
        training.best = value
        facts = {f"validation_{name}": figure for name, figure in validated.items()}
        origin = {"kind": "cad", "width": config.width, "epoch": training.epoch}
        keeper.best({**origin, **facts, "cad": training.kept.state_dict()})
    keeper.save()
    keeper.pause()


def _is_better(value: float, best: float, config: CadConfig) -> bool:
    return value < best if config.keep == "loss" else value > best
