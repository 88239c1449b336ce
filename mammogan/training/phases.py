"""The schedule of the GAN training as data (study, section 5). gan.py walks it with one loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mammogan.config import GanConfig

Part = Literal["last", "fnet", "vnet"]


@dataclass(frozen=True)
class Stop:
    """A phase ends when the epoch mean of ``figure`` is ``side`` the limit."""

    figure: Literal["identity", "gap"]
    side: Literal["below", "above"]
    limit: float

    def holds(self, means: dict[str, float]) -> bool:
        value = means.get(self.figure)  # absent when every step of the epoch was skipped
        if value is None:
            return False
        return value < self.limit if self.side == "below" else value > self.limit

    def __str__(self) -> str:
        return f"{self.figure} {self.side} {self.limit:g}"


@dataclass(frozen=True)
class Phase:
    """Who learns, how fast, and when it ends: at its rule or after ``epochs``, whichever is first."""

    name: str
    epochs: int
    trains_gnet: bool = True
    critic_parts: tuple[Part, ...] = ()
    """Parts of the discriminator that learn, Eq. 4; none in the identity phase."""
    gnet_every: int = 1
    lr_gnet: float = 0.0
    lr_critic: float = 0.0
    """Of the last layer and Fnet; Vnet has its own."""
    stop: Stop | None = None

    @property
    def adversarial(self) -> bool:
        """Gnet learns Eq. 8; without, it learns Eq. 7 alone."""
        return bool(self.critic_parts)


def phases(config: GanConfig) -> tuple[Phase, ...]:
    """The study's five phases with this config's caps, rates and, if asked for, the paper's stop rules.

    The lesion objective has one phase, whose learning rates are its own.
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
