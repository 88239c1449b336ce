"""Compute Table 1 of the study (section 6) from predictions: how well the CAD reads, and how often an adversarial image
changes its call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mammogan.evaluation.predictions import Prediction
from mammogan.statistics.clustered import clustered_auc, clustered_share
from mammogan.statistics.figure import Bools, Figure
from mammogan.workspace import HIGH, LOW, Direction

ROWS: dict[str, str] = {
    "auc_real": "AUC, original mammograms",
    "auc_adversarial": "AUC, adversarial mammograms, flipped labels",
    "positives_right": "Original positives called positive",
    "fooled_remove": "… of those, adversarial ones called negative",
    "negatives_right": "Original negatives called negative",
    "fooled_insert": "… of those, adversarial ones called positive",
    "fooled_both": "Both together: correct calls that are turned",
}
"""Names of the table's figures and their titles, in the paper's order."""

PAPER: dict[str, dict[str, str]] = {
    str(HIGH): {
        "auc_real": "0.82",
        "auc_adversarial": "0.94",
        "positives_right": "44/74 (59.5%)",
        "fooled_remove": "42/44 (95.5%)",
        "negatives_right": "319/364 (87.6%)",
        "fooled_insert": "209/319 (65.5%)",
        "fooled_both": "251/363 (69.1%)",
    },
    str(LOW): {"auc_adversarial": "0.79", "fooled_remove": "88.4%", "fooled_insert": "66.7%"},
}
"""The paper's figures, where it gives them (doi 10.1038/s41467-021-27577-x)."""


@dataclass(frozen=True)
class Cases:
    """The real mammograms of one resolution, in order, each with the probability of cancer of its adversarial image, if
    any.

    Arrays of shape (images,): ``positive`` and ``has_adversarial`` bool; ``before`` and ``after`` probabilities,
    ``after`` NaN without an adversarial image; ``density`` 'A' to 'D' or ''.
    """

    patients: tuple[str, ...]
    positive: Bools
    before: np.ndarray
    after: np.ndarray
    density: np.ndarray

    @property
    def has_adversarial(self) -> Bools:
        return ~np.isnan(self.after)

    def of(self, direction: Direction) -> Bools:
        """Return which mammograms belong to the class that ``direction`` attacks."""
        return self.positive if direction is Direction.REMOVE else ~self.positive

    @classmethod
    def pair(cls, predictions: Sequence[Prediction], density: Mapping[str, str] | None = None) -> Cases:
        """Build the cases of one resolution from its predictions; adversarial rows find their originals by
        source_key."""
        real = [p for p in predictions if p.kind == "original"]
        after = {p.source_key: p.probability for p in predictions if p.kind == "adversarial"}
        return cls(
            tuple(p.patient for p in real),
            np.array([p.label == "positive" for p in real], dtype=bool),
            np.array([p.probability for p in real], dtype=float),
            np.array([after.get(p.key, np.nan) for p in real], dtype=float),
            np.array([(density or {}).get(p.key, "") for p in real], dtype=str),
        )


def table1(cases: Cases, threshold: float) -> dict[str, Figure]:
    """Return the figures of ROWS. A mammogram whose probability is above ``threshold`` is called positive."""
    right, turned = _calls(cases, threshold)
    tried = right & cases.has_adversarial
    figures = {
        "auc_real": clustered_auc(cases.positive, cases.before, cases.patients),
        "auc_adversarial": _auc_adversarial(cases),
    }
    for direction, read, fooled in (
        (Direction.REMOVE, "positives_right", "fooled_remove"),
        (Direction.INSERT, "negatives_right", "fooled_insert"),
    ):
        own = cases.of(direction)
        nobody = f"no {direction.source} mammograms in this split"
        figures[read] = clustered_share(right, own, cases.patients, nobody)
        figures[fooled] = clustered_share(turned, tried & own, cases.patients, _why_none(cases, right, direction))
    nobody = "no adversarial version of a correctly called mammogram"
    figures["fooled_both"] = clustered_share(turned, tried, cases.patients, nobody)
    return {name: figures[name] for name in ROWS}


def fooled_by_density(cases: Cases, threshold: float) -> dict[str, dict[str, Figure]]:
    """Return direction -> density -> share of fooled calls; empty if no density is known."""
    right, turned = _calls(cases, threshold)
    tried = right & cases.has_adversarial
    known = sorted({str(d) for d in cases.density if d})
    return {
        str(direction): {
            d: clustered_share(
                turned, tried & cases.of(direction) & (cases.density == d), cases.patients, "no such image"
            )
            for d in known
        }
        for direction in Direction
        if known
    }


def mean_change(cases: Cases, direction: Direction) -> dict[str, float | int | None]:
    """Return the mean probability of cancer before and after the attack, over the attacked mammograms of one
    direction."""
    chosen = cases.of(direction) & cases.has_adversarial
    if not chosen.any():
        return {"images": 0, "before": None, "after": None}
    means = cases.before[chosen].mean(), cases.after[chosen].mean()
    return {"images": int(chosen.sum()), "before": float(means[0]), "after": float(means[1])}


def _calls(cases: Cases, threshold: float) -> tuple[Bools, Bools]:
    """Return which real mammograms are called correctly, and which adversarial images are called the opposite of their
    original's class."""
    right = (cases.before > threshold) == cases.positive
    with np.errstate(invalid="ignore"):
        turned = cases.has_adversarial & ((cases.after > threshold) != cases.positive)
    return right, turned


def _auc_adversarial(cases: Cases) -> Figure:
    """Return the AUC over the adversarial images, where those made from negatives count as positive."""
    has_adversarial = cases.has_adversarial
    if not has_adversarial.any():
        return Figure(None, reason="no adversarial mammograms")
    patients = [p for p, has in zip(cases.patients, has_adversarial, strict=True) if has]
    return clustered_auc(~cases.positive[has_adversarial], cases.after[has_adversarial], patients)


def _why_none(cases: Cases, right: Bools, direction: Direction) -> str:
    own = cases.of(direction)
    if not own.any():
        return f"no {direction.source} mammograms in this split"
    if not (right & own).any():
        return f"the CAD called no {direction.source} mammogram correctly"
    return f"no adversarial mammograms ({direction})"
