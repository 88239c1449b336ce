"""The schedule of the GAN training as data: which parts learn in which phase, how fast, and until when (section 5).

gan.py runs it in one loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mammogan.config import GanConfig, LesionConfig
from mammogan.errors import UserError

Part = Literal["last", "fnet", "vnet"]


@dataclass(frozen=True)
class Stop:
    """A stop rule: a phase ends when the epoch mean of ``figure`` is above or below the limit, as ``side`` says."""

    figure: Literal["identity", "gap"]
    side: Literal["below", "above"]
    limit: float

    def holds(self, means: dict[str, float]) -> bool:
        """Return whether the rule is met by an epoch's means."""
        value = means.get(self.figure)  # absent when every step of the epoch was skipped
        if value is None:
            return False
        return value < self.limit if self.side == "below" else value > self.limit

    def __str__(self) -> str:
        return f"{self.figure} {self.side} {self.limit:g}"


@dataclass(frozen=True)
class Phase:
    """Which parts learn, their learning rates, and the end: by the stop rule or after ``epochs``, whatever is first."""

    name: str
    epochs: int
    trains_gnet: bool = True
    critic_parts: tuple[Part, ...] = ()
    """Parts of the discriminator that learn, Eq. 4; none in the identity phase."""
    gnet_every: int = 1
    lr_gnet: float = 0.0
    lr_critic: float = 0.0
    """For the last layer and Fnet; Vnet has its own learning rate."""
    stop: Stop | None = None

    @property
    def adversarial(self) -> bool:
        """Whether Gnet learns with Eq. 8; otherwise it learns with Eq. 7 alone."""
        return bool(self.critic_parts)


def recorded_phases(config: Mapping[str, Any]) -> tuple[Phase, ...]:
    """Return the phases of a training by the settings in its config.yaml; the study's where these do not say them."""
    try:
        if config.get("objective") == "lesion":
            return phases(GanConfig(objective="lesion", lesion=LesionConfig(epochs=int(config["lesion"]["epochs"]))))
        known = GanConfig(
            epochs=tuple(config["epochs"]),
            stop_rules=bool(config["stop_rules"]),
            stop_identity=float(config.get("stop_identity", GanConfig.stop_identity)),
        )
    except (UserError, TypeError, ValueError, KeyError):
        known = GanConfig()
    return phases(known)


def phases(config: GanConfig) -> tuple[Phase, ...]:
    """Return the study's five phases with this config's caps, learning rates and, if requested, the paper's stop rules.

    The lesion objective has one phase, with its own learning rates.
    """
    if config.objective == "lesion":
        return (Phase("lesion", config.lesion.epochs, critic_parts=("last", "fnet")),)
    caps = dict(zip(("warm-gnet", "warm-dnet", "last-layer", "head", "all"), config.epochs, strict=True))

    def adversarial(name: str, parts: tuple[Part, ...], stop: Stop | None = None) -> Phase:
        rule = stop if config.stop_rules else None
        return Phase(name, caps[name], True, parts, config.gnet_every, config.lr_gnet, config.lr_dnet, rule)

    small_gap = Stop("gap", "below", 0.01)
    warm_rules = (
        (Stop("identity", "below", config.stop_identity), Stop("gap", "above", 0.2))
        if config.stop_rules
        else (None, None)
    )
    return (
        Phase("warm-gnet", caps["warm-gnet"], lr_gnet=config.lr_warm, stop=warm_rules[0]),
        Phase("warm-dnet", caps["warm-dnet"], False, ("last",), lr_critic=config.lr_warm, stop=warm_rules[1]),
        adversarial("last-layer", ("last",)),
        adversarial("head", ("last", "fnet"), small_gap),
        adversarial("all", ("last", "fnet", "vnet"), small_gap),
    )
