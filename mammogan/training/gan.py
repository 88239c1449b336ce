"""Training of one generator against its discriminator: Eq. 4-8 over the phases of the study's section 5."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from mammogan.config import Direction, GanConfig, Resolution, Workspace
from mammogan.data.augment import Augmentation
from mammogan.data.stream import PairedStream, ShardImages, shards_fingerprint
from mammogan.files import sha256
from mammogan.models.networks import Discriminator, Gnet, unit_pixels
from mammogan.terminal import say
from mammogan.training.batch_norm import synchronise_batch_norm
from mammogan.training.batches import Batches
from mammogan.training.checkpoint import Run, choose_checkpoint, load, load_cad, save
from mammogan.training.distributed import Ranks, joined
from mammogan.training.gan_steps import DiscriminatorStep, GeneratorStep, fakes_without_graph
from mammogan.training.inputs import check_gan_inputs
from mammogan.training.optimisation import Precision, Stepper
from mammogan.training.phases import Phase, phases
from mammogan.training.progress import Reporter
from mammogan.training.validation import Fooled, fooled

FIGURES = ("identity", "gap", "dis_real", "dis_fake", "penalty")
SHOWN = 4


class GanTraining:
    """Everything one GAN training consists of; ``state`` and ``restore`` are what survives a restart."""

    def __init__(self, config: GanConfig, direction: Direction, workspace: Workspace, ranks: Ranks) -> None:
        self.config, self.direction, self.ranks = config, direction, ranks
        self.phases = phases(config)
        resolution = Resolution.parse(config.resolution)
        folder = workspace.shards(resolution)
        train = (ShardImages(folder, "train", direction.target), ShardImages(folder, "train", direction.source))
        workers = config.compute.loader_workers
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
        self.validation = ShardImages(folder, "validation", direction.source)
        self.precision = Precision.choose(config.compute.precision, ranks.device)
        augmentation = Augmentation(config.rotation, config.shear, (0.5, 2.0) if config.gan_scale else (1.0, 1.0))
        self.batches = Batches(self.stream, augmentation, self.precision, config.seed)
        self._build_networks(workspace.cad_run(resolution))
        critic = self.critic
        groups = [{"params": list(part.parameters())} for part in (critic.last, critic.fnet, critic.vnet)]
        self.critic_stepper = Stepper(groups, config.compute, self.precision, ranks)
        self.gnet_stepper = Stepper([{"params": list(self.gnet.parameters())}], config.compute, self.precision, ranks)
        self.phase = self.phase_epoch = self.epoch = self.batch = self.lines = 0
        self.ended_by: str | None = None
        """The stop rule that has ended the phase, if one has."""
        self.sums = torch.zeros(len(FIGURES), 2, dtype=torch.float64, device=ranks.device)
        self.best: list[float] | None = None

    def _build_networks(self, cad_run: Any) -> None:
        """Gnet, and a discriminator born from the CAD; the CAD itself stays as it is, to be fooled."""
        cad = load_cad(cad_run, self.ranks.device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            gnet = Gnet(self.config.width, self.config.gnet_norm)
            critic = Discriminator.born_from(cad)
        synchronise_batch_norm(gnet, self.ranks)
        self.cad, self.critic = self.precision.place(cad), self.precision.place(critic)
        self.gnet = self.precision.place(gnet)

    def state(self) -> dict[str, Any]:
        """To be called by all ranks together. ``epoch`` counts the finished ones."""
        return {
            "kind": "gan",
            "direction": str(self.direction),
            "width": self.config.width,
            "gnet_norm": self.config.gnet_norm,
            "gnet": self.gnet.state_dict(),
            "critic": self.critic.state_dict(),
            "gnet_stepper": self.gnet_stepper.state_dict(),
            "critic_stepper": self.critic_stepper.state_dict(),
            "phase": self.phases[self.phase].name,
            "phase_number": self.phase,
            "phase_epoch": self.phase_epoch,
            "ended_by": self.ended_by,
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self.ranks.gather(self.sums.tolist()),
            "best": self.best,
            "lines": self.lines,
        }

    def restore(self, state: dict[str, Any]) -> None:
        for name in ("gnet", "critic", "gnet_stepper", "critic_stepper"):
            getattr(self, name).load_state_dict(state[name])
        self.phase, self.phase_epoch, self.epoch = state["phase_number"], state["phase_epoch"], state["epoch"]
        self.batch, self.best, self.lines = state["batch"], state["best"], state["lines"]
        self.ended_by = state["ended_by"]
        self.sums.copy_(self.ranks.own_part(state["sums"]))

    def steps_of(self, phase: Phase) -> tuple[nn.Module, nn.Module]:
        """Discriminator's and generator's step, frozen and rated as ``phase`` says, wrapped anew for the ranks."""
        config, critic = self.config, self.critic
        for name, part in (("last", critic.last), ("fnet", critic.fnet), ("vnet", critic.vnet)):
            part.requires_grad_(name in phase.critic_parts)
        self.gnet.requires_grad_(phase.trains_gnet)
        self.critic_stepper.learning_rates(phase.lr_critic, phase.lr_critic, config.lr_vnet)
        self.gnet_stepper.learning_rates(phase.lr_gnet)
        critic_step: nn.Module = DiscriminatorStep(critic, config, self.ranks.mean)
        gnet_step: nn.Module = GeneratorStep(self.gnet, critic, config, phase.adversarial, self.ranks.mean)
        if phase.critic_parts:
            critic_step = self.ranks.wrap(critic_step)
        if phase.trains_gnet:
            gnet_step = self.ranks.wrap(gnet_step)
        self.gnet.train()
        critic.train()
        return critic_step, gnet_step

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add one batch's figures to the sums of the epoch, without waiting for the device."""
        for row, name in enumerate(FIGURES):
            if name in losses:
                self.sums[row] += torch.stack([losses[name].detach().double(), self.sums.new_ones(())])

    def means(self) -> dict[str, float]:
        """Epoch means over all ranks of the figures that this phase has."""
        sums = self.ranks.mean(self.sums).tolist()
        return {name: total / count for name, (total, count) in zip(FIGURES, sums, strict=True) if count}

    def next_epoch(self) -> None:
        self.epoch, self.phase_epoch, self.batch = self.epoch + 1, self.phase_epoch + 1, 0
        self.sums.zero_()

    def next_phase(self) -> None:
        """Only when the next phase starts: a finished run goes on in its last phase when that phase's cap is raised."""
        self.phase, self.phase_epoch, self.ended_by = self.phase + 1, 0, None

    def batches_left_at_most(self) -> int:
        """Batches until every remaining cap is reached, those of the current epoch included."""
        caps = sum(phase.epochs for phase in self.phases[self.phase :])
        return (caps - self.phase_epoch) * self.stream.batches - self.batch


def train(config: GanConfig, direction: Direction, workspace: Workspace) -> None:
    """Train, or go on from the newest checkpoint, until the last phase has ended; done.json is written last.

    Raises MissingInput when shards or CAD are missing, UserError for a run begun with other settings.
    """
    check_gan_inputs(config, workspace)
    resolution = Resolution.parse(config.resolution)
    run = Run(workspace.gan_run(resolution, direction))
    inputs = {
        "direction": str(direction),
        "shards_sha256": shards_fingerprint(workspace.shards(resolution)),
        "cad_sha256": sha256(choose_checkpoint(workspace.cad_run(resolution))),
    }
    run.check(config, inputs)
    if run.is_finished(config):
        say(f"{run.path.name}: trained before, nothing to do.")
        return
    with joined(config.compute.device) as ranks:
        _train(GanTraining(config, direction, workspace, ranks), inputs, run)


def _train(training: GanTraining, inputs: dict[str, Any], run: Run) -> None:
    ranks = training.ranks
    # Resume.
    if ranks.any(run.newest.is_file()):
        training.restore(load(run.newest, ranks.device))
        ranks.agree((training.epoch, training.batch))
    if ranks.first:
        run.begin(training.config, inputs)
    speaks, tensorboard = ranks.first, training.config.compute.tensorboard
    reporter = Reporter(run, run.path.name, speaks, tensorboard, training.lines, training.epoch)
    reporter.note(
        f"{run.path.name}: {ranks.size} rank(s) on {ranks.device.type}, {training.precision}, "
        f"{training.gnet_stepper.kind} Adam, from epoch {training.epoch}, batch {training.batch}"
    )
    # Train.
    try:
        _train_phase(training, run, reporter)
        while training.phase + 1 < len(training.phases):
            training.next_phase()
            _train_phase(training, run, reporter)
    finally:
        reporter.close()
    # Finish.
    ranks.wait()
    if ranks.first:
        best = dict(zip(("fooled", "identity"), training.best, strict=True)) if training.best else None
        run.finish({"epochs": training.epoch, "best_on_validation": best})


def _train_phase(training: GanTraining, run: Run, reporter: Reporter) -> None:
    phase = training.phases[training.phase]
    critic_step, gnet_step = training.steps_of(phase)
    while training.ended_by is None and training.phase_epoch < phase.epochs:
        _train_epoch(training, phase, critic_step, gnet_step, run, reporter)
        means = training.means()
        _validate(training, phase, means, run, reporter)
        # Stop rule.
        if phase.stop is not None and phase.stop.holds(means):
            training.ended_by = str(phase.stop)
        training.next_epoch()
        if training.ended_by or training.phase_epoch >= phase.epochs:
            ended_by = training.ended_by or f"its cap of {phase.epochs} epochs"
            reporter.event("phase", phase=phase.name, ended_by=ended_by, epoch=training.epoch)
            reporter.note(f"{run.path.name}: phase {phase.name} ended by {ended_by}")
        # Save state.
        _save(training, run, reporter)


def _train_epoch(
    training: GanTraining, phase: Phase, critic_step: nn.Module, gnet_step: nn.Module, run: Run, reporter: Reporter
) -> None:
    config, ranks = training.config, training.ranks
    saved = time.monotonic()
    for batch in training.stream.epoch(training.epoch, training.batch):
        place = (training.epoch, training.batch)
        target, source = training.batches.pixels(batch, *place)
        # Update discriminator.
        if phase.critic_parts:
            keep = training.batches.keep(training.critic.fnet, 2, *place, "dropout")
            with training.precision.autocast():
                fake = fakes_without_graph(training.gnet, source)
                losses = critic_step(target, fake, keep)
            if training.critic_stepper.step(losses["loss"]):
                training.add(losses)
            del losses  # and with them what the graph still holds
        # Update generator.
        batches_before = training.epoch * training.stream.batches + training.batch
        if phase.trains_gnet and batches_before % phase.gnet_every == phase.gnet_every - 1:
            keep = training.batches.keep(training.critic.fnet, 1, *place, "dropout of the generator's step")
            with training.precision.autocast():
                losses = gnet_step(source, keep)
            if training.gnet_stepper.step(losses["loss"]):
                training.add({"identity": losses["identity"]})
            del losses
        training.batch += 1
        done = batches_before + 1
        reporter.batch(done, done + training.batches_left_at_most(), 2 * config.pairs, f"{phase.name} {training.epoch}")
        # Save state.
        if ranks.any(time.monotonic() - saved >= config.compute.save_minutes * 60):
            _save(training, run, reporter)
            saved = time.monotonic()


def _validate(training: GanTraining, phase: Phase, means: dict[str, float], run: Run, reporter: Reporter) -> None:
    """Report the epoch; in adversarial phases measure the fooled rate and keep the best generator so far."""
    skipped = training.critic_stepper.skipped + training.gnet_stepper.skipped
    facts: dict[str, Any] = {"phase": phase.name, **means, "skipped": skipped}
    if phase.trains_gnet and training.phase_epoch % training.config.validate_every == 0:
        label = int(training.direction.source == "positive")
        found = fooled(training.gnet, training.cad, training.validation, label, training.precision, training.ranks)
        facts |= {
            "validation_fooled": found.rate,
            "validation_right": found.right,
            "validation_identity": found.identity,
        }
        _show(training, reporter)
        if phase.adversarial:
            _keep_best(training, phase, found, run)
    reporter.epoch(training.epoch, **facts)


def _keep_best(training: GanTraining, phase: Phase, found: Fooled, run: Run) -> None:
    """Best is the highest fooled rate on validation; among equals the one that changes least (Eq. 7)."""
    if found.rate is None or found.identity is None:
        return
    rank = [found.rate, found.identity]
    if training.best is None or (rank[0], -rank[1]) > (training.best[0], -training.best[1]):
        training.best = rank
        state = training.state()
        if training.ranks.first:
            kept = {k: state[k] for k in ("kind", "direction", "width", "gnet_norm", "gnet", "phase")}
            facts = {
                "epoch": training.epoch + 1,
                "validation_fooled": found.rate,
                "validation_identity": found.identity,
            }
            save(run.best, kept | facts)


@torch.no_grad()
def _show(training: GanTraining, reporter: Reporter) -> None:
    """A few validation mammograms, altered: real | fake | difference."""
    if training.ranks.first and len(training.validation):
        shown = torch.stack([training.validation[i] for i in range(min(SHOWN, len(training.validation)))])
        real = unit_pixels(shown.to(training.ranks.device)).to(training.precision.full)
        training.gnet.eval()
        fake = training.gnet(real)
        training.gnet.train()
        reporter.triplets(training.epoch, real, fake)


def _save(training: GanTraining, run: Run, reporter: Reporter) -> None:
    training.lines = reporter.lines
    state = training.state()
    if training.ranks.first:
        save(run.newest, state)
    training.ranks.wait()
