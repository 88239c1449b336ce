"""Judges whether a GAN's critic is alive, records its history, and says what to change when it dies.

It imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALIVE = 0.05
"""A live critic's logits have a larger standard deviation than this, and its gradient a larger norm.

Among critics of the demo, those that flattened had .002 to .04 and .001 to .02; live ones had .1 to .2 and .2 to .6.
"""
Figures = Mapping[str, Any]
"""critic_sd, critic_gradient and change, as in ``critic_watch.Watched``."""


def faults(figures: Figures, reproduction: float | None) -> list[str]:
    """Return the figures of an epoch that show a dead critic, in words; an empty list means that it is alive.

    A figure that is not a number (NaN) is a fault. A generator that learns from its critic changes more than when it
    learned to reproduce. ``reproduction`` is that earlier error (Eq. 7, same mammograms); None, where it was never
    measured, skips this check.
    """
    found = [
        f"{name} is {figures[figure]:.2g}, alive above {ALIVE:g}"
        for figure, name in (("critic_sd", "the s.d. of its logits"), ("critic_gradient", "the norm of its gradient"))
        if not figures[figure] > ALIVE
    ]
    if reproduction is not None and not figures["change"] > reproduction:
        found.append(
            f"the generator changes {figures['change']:.2g} (Eq. 7), no more than its reproduction error of "
            f"{reproduction:.2g}"
        )
    return found


@dataclass
class CriticLife:
    """The critic's history over the adversarial epochs, those in which the generator learns from it.

    It has plain values only; a checkpoint stores them as ``vars``.
    """

    alive_epochs: int = 0
    adversarial_epochs: int = 0
    died_in_epoch: int | None = None
    """The first of the latest consecutive dead epochs, counted as in metrics.jsonl; None while the critic is alive."""
    message: str = ""
    """The message about its first death."""

    def count(self, epoch: int, figures: Figures, reproduction: float | None, advice: str) -> str:
        """Record one epoch; return a message with advice if the critic dies for the first time, else "".

        Call it once per epoch, on all ranks.
        """
        wrong = faults(figures, reproduction)
        self.adversarial_epochs += 1
        self.alive_epochs += not wrong
        self.died_in_epoch = (epoch if self.died_in_epoch is None else self.died_in_epoch) if wrong else None
        if not wrong or self.message:
            return ""
        self.message = f"the critic is dead in epoch {epoch} ({'; '.join(wrong)}) and teaches nothing: {advice}"
        return self.message

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> CriticLife:
        """Read it from a checkpoint; earlier versions called the message "told"."""
        return cls(**{"message" if name == "told" else name: value for name, value in state.items()})

    def summary(self) -> dict[str, Any]:
        """Return the facts for done.json; ``notice`` is what a reader should know, or None."""
        alive, of = self.alive_epochs, self.adversarial_epochs
        notice = self.message if self.died_in_epoch is not None else None
        if of and not alive:
            notice = (
                f"no epoch had a living critic, so there is no best generator and the newest is used: {self.message}"
            )
        return {
            "alive_epochs": alive,
            "adversarial_epochs": of,
            "died_in_epoch": self.died_in_epoch,
            "notice": notice,
        }
