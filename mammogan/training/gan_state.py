"""All objects of one GAN training, and its state that survives a restart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mammogan.config import GanConfig
from mammogan.data.loading.augment import Augmentation
from mammogan.data.shards.reader import ShardImages
from mammogan.models.networks import Critic
from mammogan.models.registry import build_generator, sources_of
from mammogan.models.weight_values import fill
from mammogan.training.batches import Batches
from mammogan.training.critic_life import CriticLife
from mammogan.training.critic_watch import WATCHED, own_pictures
from mammogan.training.epoch_means import EpochMeans
from mammogan.training.gan_steps import DiscriminatorStep, GeneratorStep
from mammogan.training.parallel.batch_norm import synchronise_batch_norm
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.phases import Phase, phases
from mammogan.training.run.cad_source import cad_source
from mammogan.training.run.checkpoint_kind import with_weights
from mammogan.training.run.model_card import CARD, GENERATES, model_card
from mammogan.training.run.optimizer import Stepper
from mammogan.training.run.start_from import start_state
from mammogan.training.run.trained_networks import load_source
from mammogan.training.validation import Pause, mean_log_odds, no_pause
from mammogan.workspace import Direction, Resolution, Workspace

FIGURES = ("identity", "gap", "dis_real", "dis_fake", "penalty")
UNWATCHED = float("-inf")
"""Score of a best generator that an earlier version chose without watching the critic; any watched one is better."""


@dataclass(frozen=True)
class Best:
    """Validation figures of the best generator so far."""

    fooled: float | None
    identity: float | None
    """Eq. 7."""
    score: float = UNWATCHED
    """``Fooled.score``; checkpoints call it rank."""

    @classmethod
    def of_state(cls, state: Any) -> Best | None:
        """Read it from a checkpoint; earlier versions stored [fooled, identity]."""
        if isinstance(state, list):
            return cls(*state)
        return cls(state["fooled"], state["identity"], state.get("rank", UNWATCHED)) if state else None

    def state(self) -> dict[str, float | None]:
        """Return it as checkpoints store it."""
        return {"fooled": self.fooled, "identity": self.identity, "rank": self.score}


class GanTraining:
    """All objects of one GAN training; ``state`` and ``restore`` define what survives a restart."""

    def __init__(
        self, config: GanConfig, direction: Direction, workspace: Workspace, ranks: Ranks, resumes: bool = False
    ) -> None:
        self.config, self.direction, self.ranks = config, direction, ranks
        self.phases = phases(config)
        resolution = Resolution.parse(config.resolution)
        folder = workspace.shards(resolution)
        self.card = model_card(GENERATES.format(target=direction.target), workspace, resolution)
        targets, sources = (ShardImages(folder, "train", label) for label in (direction.target, direction.source))
        self.train_images = targets, sources
        self.validation = ShardImages(folder, "validation", direction.source)
        self.validation_targets = ShardImages(folder, "validation", direction.target)
        self._targets_log_odds: float | None = None
        augmentation = Augmentation(config.rotation, config.shear, (0.5, 2.0) if config.gan_scale else (1.0, 1.0))
        self.batches = Batches.of(targets, sources, augmentation, config, config, ranks)
        self.stream, self.precision = self.batches.stream, self.batches.precision
        self._build_networks(load_source(cad_source(workspace, resolution, config.cad)))
        self.sources = sources_of(generator=config.generator)
        self.phase = self.phase_epoch = self.epoch = self.batch = self.lines = 0
        if config.start_from and not resumes:
            begun = start_state(config.start_from, "gan", self.generator(), folder)
            with_weights(Path(config.start_from), begun, lambda: fill(self.gnet, begun["gnet"]))
        critic = self.critic
        groups = [{"params": list(part.parameters())} for part in (critic.last, critic.fnet, critic.vnet)]
        self.critic_stepper = Stepper(groups, config.compute, self.precision, ranks)
        self.gnet_stepper = Stepper([{"params": list(self.gnet.parameters())}], config.compute, self.precision, ranks)
        self.ended_by: str | None = None
        """The stop rule that has ended the phase; None if no rule has."""
        self.figures = EpochMeans(FIGURES, ranks)
        self.best: Best | None = None
        self.critic_life = CriticLife()
        self.reproduction: float | None = None
        """Gnet's change (Eq. 7, the watched sources) at the end of the identity phase; None until it is measured."""

    def _build_networks(self, cad: Critic) -> None:
        """Build Gnet and a discriminator with the CAD's weights; the CAD itself stays unchanged, as the one to fool."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            gnet = build_generator(self.config.generator, self.config.width, self.config.gnet_norm)
            critic = cad.discriminator()
        synchronise_batch_norm(gnet, self.ranks)
        self.cad, self.critic = self.precision.place(cad), self.precision.place(critic)
        self.gnet = self.precision.place(gnet)

    def generator(self) -> dict[str, Any]:
        """Return the part of a checkpoint that is needed to use the generator. ``epoch`` counts finished epochs."""
        return {
            "kind": "gan",
            "arch": self.config.generator,
            **self.sources,
            CARD: self.card,
            "direction": str(self.direction),
            "width": self.config.width,
            "gnet_norm": self.config.gnet_norm,
            "gnet": self.gnet.state_dict(),
            "phase": self.phases[self.phase].name,
            "epoch": self.epoch,
        }

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint. All ranks must call it together."""
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
            "best": self.best.state() if self.best else None,
            "critic_life": vars(self.critic_life),
            "reproduction": self.reproduction,
            "lines": self.lines,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state. In one of a version that did not watch the critic, missing values start from here."""
        for name in ("gnet", "critic", "gnet_stepper", "critic_stepper"):
            getattr(self, name).load_state_dict(state[name])
        self.phase, self.phase_epoch, self.epoch = state["phase_number"], state["phase_epoch"], state["epoch"]
        self.batch, self.lines, self.ended_by = state["batch"], state["lines"], state["ended_by"]
        self.best = Best.of_state(state["best"])
        self.critic_life = CriticLife.of_state(state.get("critic_life", {}))
        self.reproduction = state.get("reproduction")
        self.figures.restore(state["sums"])

    def adopt(self, best: dict[str, Any]) -> None:
        """Take the best generator's figures from best.pt if it is newer than the restored state."""
        if best["epoch"] > self.epoch:
            figures = (best["validation_fooled"], best["validation_identity"], best.get("validation_rank", UNWATCHED))
            self.best = Best(*figures)

    def steps_of(self, phase: Phase) -> tuple[nn.Module, nn.Module]:
        """Return the discriminator's and the generator's step, wrapped again for the ranks.

        Frozen parts and learning rates are set as ``phase`` says.
        """
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
        """Return the CAD's mean log-odds of the real validation targets, None without any; measured once."""
        if self._targets_log_odds is None and len(self.validation_targets):
            settings = (self.validation_targets, self.precision, self.ranks, pause)
            self._targets_log_odds = mean_log_odds(self.cad, *settings)
        return self._targets_log_odds

    def next_epoch(self) -> None:
        self.epoch, self.phase_epoch, self.batch = self.epoch + 1, self.phase_epoch + 1, 0
        self.figures.clear()

    def next_phase(self) -> None:
        """Start the next phase.

        Call it only when that phase starts: a finished run stays in its last phase, and continues there if the phase's
        cap is raised.
        """
        self.phase, self.phase_epoch, self.ended_by = self.phase + 1, 0, None

    def batches_left_at_most(self) -> int:
        """Return the number of batches until every remaining cap is reached, including those of the current epoch."""
        caps = sum(phase.epochs for phase in self.phases[self.phase :])
        return (caps - self.phase_epoch) * self.stream.batches - self.batch
