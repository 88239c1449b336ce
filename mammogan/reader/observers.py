"""Model observers: readers that a program simulates, to test a study before people spend hours on it.

An observer has evidence for "fake" in each image, normally distributed: mean 0 for originals, d' for fakes. A part of
it belongs to the image and is the same for all observers. Below the lower criterion the observer says real, above the
upper one not real, between them unsure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mammogan.reader.statistics.answers import Said

SHARED = 0.25
"""Share of the evidence's variance that belongs to the image."""
UNSURE_WIDTH = 0.3
"""Distance between the two criteria, in standard deviations of the evidence."""


@dataclass(frozen=True)
class Ability:
    """How well fakes are told from originals, and how readily an image is called a fake, in one session."""

    d_prime: float
    criterion: float = 0.0
    """As criterion c: 0 is neutral; positive: rarely says not real."""


@dataclass(frozen=True)
class Observer:
    """A simulated reader: its ability, other abilities in some sessions, and its pace."""

    ability: Ability
    in_session: dict[int, Ability] = field(default_factory=dict)
    seconds: float = 10.0
    """Median time an image."""
    looks_at_border: bool = False
    """Says not real where the corner of the picture is not black at the default window, and real elsewhere. If that is
    right more often than chance, images give themselves away without a look at the breast."""

    def says(self, session: int, is_fake: bool, case: float, draws: np.random.Generator) -> Said:
        """Return the answer to an image; ``case`` is the image's own standard normal part of the evidence."""
        ability = self.in_session.get(session, self.ability)
        noise = np.sqrt(SHARED) * case + np.sqrt(1 - SHARED) * draws.standard_normal()
        evidence = ability.d_prime * is_fake + noise
        middle = ability.criterion + ability.d_prime / 2
        if abs(evidence - middle) <= UNSURE_WIDTH / 2:
            return "unsure"
        return "not real" if evidence > middle else "real"

    def pace(self, draws: np.random.Generator) -> float:
        """Return the seconds that the observer looks at one image."""
        return float(self.seconds * draws.lognormal(0, 0.5))


PRESETS: dict[str, Observer] = {
    "guesser": Observer(Ability(0.0)),
    "skilled": Observer(Ability(1.5)),
    "biased": Observer(Ability(1.0, 0.8)),
    "learner": Observer(Ability(0.5), {5: Ability(1.5)}),
    "confused": Observer(Ability(1.0, 0.0), {5: Ability(1.0, -0.8)}),
    "border-watcher": Observer(Ability(0.0), looks_at_border=True, seconds=2.0),
}
"""learner: session 4 teaches. confused: after session 4 everything is called a fake. biased: calls little a fake."""
