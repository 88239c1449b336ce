"""How often a victim is fooled by an attack: shares with Wilson's intervals on the effective number of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammogan.statistics.clustered import clustered_share
from mammogan.statistics.figure import Bools, Figure, Floats
from mammogan.workspace import Direction


@dataclass(frozen=True)
class Calls:
    """What a victim says of originals and of an attack's images of them, at one threshold; arrays of shape (N,)."""

    patients: Sequence[str]
    positive: Bools
    before: Floats
    after: Floats
    """NaN where there is no adversarial image."""
    threshold: float

    @property
    def right(self) -> Bools:
        """Originals that are called what they are."""
        return (self.before > self.threshold) == self.positive

    def of(self, direction: Direction) -> Bools:
        return self.positive if direction is Direction.REMOVE else ~self.positive

    def read(self, direction: Direction) -> Figure:
        """Return the share of originals of a class that are called right."""
        return clustered_share(self.right, self.of(direction), self.patients, f"no {direction.source} mammograms")

    def fooled(self, direction: Direction | None) -> Figure:
        """Return the share of right calls that the attack turns; None: of both classes together."""
        own = np.ones(len(self.positive), bool) if direction is None else self.of(direction)
        tried = self.right & own & ~np.isnan(self.after)
        with np.errstate(invalid="ignore"):
            turned = (self.after > self.threshold) != self.positive
        nobody = "no adversarial version of a correctly called mammogram"
        return clustered_share(turned, tried, self.patients, nobody)


def aligned(scores: Floats, made: NDArray[np.bool_]) -> Floats:
    """Return the scores of an attack's images in the order of the originals, NaN where it made none."""
    found = np.full(len(made), np.nan)
    found[made] = scores
    return found
