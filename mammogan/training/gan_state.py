"""Everything one GAN training consists of, and what of it survives a restart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mammogan.config import Direction, GanConfig, Resolution, Workspace
from mammogan.data.augment import Augmentation
from mammogan.data.stream import PairedStream, ShardImages
from mammogan.models.networks import Discriminator, Gnet
from mammogan.training.batch_norm import synchronise_batch_norm
from mammogan.training.batches import Batches
from mammogan.training.checkpoint import load_cad
from mammogan.training.critic_life import CriticLife
from mammogan.training.critic_watch import WATCHED, own_pictures
from mammogan.training.distributed import Ranks
from mammogan.training.epoch_means import EpochMeans
from mammogan.training.gan_steps import DiscriminatorStep, GeneratorStep
from mammogan.training.optimisation import Precision, Stepper
from mammogan.training.phases import Phase, phases
from mammogan.training.validation import Pause, mean_log_odds, no_pause

FIGURES = ("identity", "gap", "dis_real", "dis_fake", "penalty")
UNWATCHED = float("-inf")
"""Rank of a best generator that an earlier version chose without watching the critic: any watched one is better."""


@dataclass(frozen=True)
class Best:
    """How the best generator so far fared on validation."""

    fooled: float | None
    identity: float | None
    """Eq. 7."""
    rank: float = UNWATCHED
    """``Fooled.rank``."""

    @classmethod
    def of_state(cls, state: Any) -> Best | None:
        """From a checkpoint, where earlier versions had [fooled, identity]."""
        return cls(*state) if isinstance(state, list) else cls(**state) if state else None


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
        self.train_images = train
        self.validation = ShardImages(folder, "validation", direction.source)
        self.validation_targets = ShardImages(folder, "validation", direction.target)
        self._targets_log_odds: float | None = None
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
        self.figures = EpochMeans(FIGURES, ranks)
        self.best: Best | None = None
        self.critic_life = CriticLife()
        self.reproduction: float | None = None
        """Gnet's change (Eq. 7, the watched sources) at the end of the identity phase, once it has come so far."""

    def _build_networks(self, cad_run: Any) -> None:
        """Gnet, and a discriminator born from the CAD; the CAD itself stays as it is, to be fooled."""
        cad = load_cad(cad_run)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            gnet = Gnet(self.config.width, self.config.gnet_norm)
            critic = Discriminator.born_from(cad)
        synchronise_batch_norm(gnet, self.ranks)
        self.cad, self.critic = self.precision.place(cad), self.precision.place(critic)
        self.gnet = self.precision.place(gnet)

    def generator(self) -> dict[str, Any]:
        """What a checkpoint holds that is used rather than gone on from. ``epoch`` counts the finished ones."""
        return {
            "kind": "gan",
            "arch": "unet",
            "direction": str(self.direction),
            "width": self.config.width,
            "gnet_norm": self.config.gnet_norm,
            "gnet": self.gnet.state_dict(),
            "phase": self.phases[self.phase].name,
            "epoch": self.epoch,
        }

    def state(self) -> dict[str, Any]:
        """To be called by all ranks together."""
        return {
            **self.generator(),
            "critic": self.critic.state_dict(),
            "gnet_stepper": self.gnet_stepper.state_dict(),
            "critic_stepper": self.critic_stepper.state_dict(),
            "phase_number": self.phase,
            "phase_epoch": self.phase_epoch,
            "ended_by": self.ended_by,
            "batch": self.batch,
            "sums": self.figures.state(),
            "best": vars(self.best) if self.best else None,
            "critic_life": vars(self.critic_life),
            "reproduction": self.reproduction,
            "lines": self.lines,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """A state of a version that did not watch the critic is gone on from: what it lacks counts from here on."""
        for name in ("gnet", "critic", "gnet_stepper", "critic_stepper"):
            getattr(self, name).load_state_dict(state[name])
        self.phase, self.phase_epoch, self.epoch = state["phase_number"], state["phase_epoch"], state["epoch"]
        self.batch, self.lines, self.ended_by = state["batch"], state["lines"], state["ended_by"]
        self.best = Best.of_state(state["best"])
        self.critic_life = CriticLife(**state.get("critic_life", {}))
        self.reproduction = state.get("reproduction")
        self.figures.restore(state["sums"])

    def adopt(self, best: dict[str, Any]) -> None:
        if best["epoch"] > self.epoch:
            told = (best["validation_fooled"], best["validation_identity"], best.get("validation_rank", UNWATCHED))
            self.best = Best(*told)

    def steps_of(self, phase: Phase) -> tuple[nn.Module, nn.Module]:
        """Discriminator's and generator's step, frozen and rated as ``phase`` says, wrapped anew for the ranks."""
        config, critic = self.config, self.critic
        for name, part in (("last", critic.last), ("fnet", critic.fnet), ("vnet", critic.vnet)):
            part.requires_grad_(name in phase.critic_parts)
        self.gnet.requires_grad_(phase.trains_gnet)
        self.critic_stepper.learning_rates(phase.lr_critic, phase.lr_critic, config.lr_vnet)
        self.gnet_stepper.learning_rates(phase.lr_gnet)
        critic_step: nn.Module = DiscriminatorStep(critic, config, self.ranks.mean, self.ranks.size > 1)
        gnet_step: nn.Module = GeneratorStep(self.gnet, critic, config, phase.adversarial, self.ranks.mean)
        if phase.critic_parts:
            critic_step = self.ranks.wrap(critic_step)
        if phase.trains_gnet:
            gnet_step = self.ranks.wrap(gnet_step)
        self.gnet.train()
        critic.train()
        return critic_step, gnet_step

    @cached_property
    def watched(self) -> tuple[Tensor, Tensor]:
        """This rank's share of the training targets and sources on which critic and Gnet are watched; read once."""
        targets, sources = (own_pictures(images, WATCHED, self.ranks) for images in self.train_images)
        return targets, sources

    def targets_log_odds(self, pause: Pause = no_pause) -> float | None:
        """The CAD's mean log-odds of the real validation targets, None without any; measured once."""
        if self._targets_log_odds is None and len(self.validation_targets):
            about = (self.validation_targets, self.precision, self.ranks, pause)
            self._targets_log_odds = mean_log_odds(self.cad, *about)
        return self._targets_log_odds

    def next_epoch(self) -> None:
        self.epoch, self.phase_epoch, self.batch = self.epoch + 1, self.phase_epoch + 1, 0
        self.figures.clear()

    def next_phase(self) -> None:
        """Only when the next phase starts: a finished run goes on in its last phase when that phase's cap is raised."""
        self.phase, self.phase_epoch, self.ended_by = self.phase + 1, 0, None

    def batches_left_at_most(self) -> int:
        """Batches until every remaining cap is reached, those of the current epoch included."""
        caps = sum(phase.epochs for phase in self.phases[self.phase :])
        return (caps - self.phase_epoch) * self.stream.batches - self.batch
