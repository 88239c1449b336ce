"""How often a victim is fooled by an attack: shares with Wilson's intervals on the effective number of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammogan.evaluation.bootstrap import Bools, Figure, Floats
from mammogan.evaluation.clustered import auc_with_logit_interval, clustered_share
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
        return self._share(self.right, self.of(direction), f"no {direction.source} mammograms")

    def fooled(self, direction: Direction | None) -> Figure:
        """Return the share of right calls that the attack turns; None: of both classes together."""
        own = np.ones(len(self.positive), bool) if direction is None else self.of(direction)
        tried = self.right & own & ~np.isnan(self.after)
        with np.errstate(invalid="ignore"):
            turned = (self.after > self.threshold) != self.positive
        return self._share(turned, tried, "no adversarial version of a correctly called mammogram")

    def _share(self, counted: Bools, among: Bools, nobody: str) -> Figure:
        patients = [patient for patient, is_among in zip(self.patients, among, strict=True) if is_among]
        return clustered_share(counted[among], patients, nobody)


def auc_figure(score: Floats, positive: Bools, patients: Sequence[str]) -> Figure:
    """Return the area under the ROC curve with its interval on the logit; n/a without scores of both classes."""
    if np.isnan(score).any() or positive.all() or not positive.any():
        return Figure(None, reason="an AUC needs images of both classes")
    return Figure(*auc_with_logit_interval(score, positive, patients))


def aligned(scores: Floats, made: NDArray[np.bool_]) -> Floats:
    """Return the scores of an attack's images in the order of the originals, NaN where it made none."""
    found = np.full(len(made), np.nan)
    found[made] = scores
    return found
