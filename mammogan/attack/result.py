"""All that was found at one resolution, and what it says beyond Table 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mammogan.attack.giveaways import giveaways
from mammogan.attack.intervals import Figure
from mammogan.attack.predictions import Prediction
from mammogan.attack.scores import Change, Scored
from mammogan.attack.table1 import Cases, fooled_by_density, mean_change, table1
from mammogan.attack.triplets import Example
from mammogan.config import Direction, Resolution


@dataclass(frozen=True)
class Result:
    """One resolution's figures. ``secondary`` and ``truth`` are ready for JSON; ``truth`` None: nothing is known."""

    resolution: Resolution
    predictions: list[Prediction]
    cases: Cases
    table: dict[str, Figure]
    secondary: dict[str, Any]
    truth: dict[str, Any] | None
    provenance: dict[str, Any]
    examples: dict[Direction, list[Example]] = field(default_factory=dict)
    notice: str = ""
    """What a reader has to know before the figures; empty when there is nothing."""
    forensics: dict[str, Any] = field(default_factory=dict)
    """How well each number of an image tells adversarial ones; see giveaways."""

    @property
    def twins(self) -> list[Example]:
        """Removed examples whose lesion-free twin is known."""
        return [e for e in self.examples.get(Direction.REMOVE, []) if e.twin is not None and e.lesion is not None]

    def to_json(self) -> dict[str, Any]:
        return {
            "images": {
                "positive": int(self.cases.positive.sum()),
                "negative": int((~self.cases.positive).sum()),
                "altered": int(self.cases.faked.sum()),
                "patients": len(set(self.cases.patients)),
            },
            "notice": self.notice,
            "table1": {name: dataclasses.asdict(figure) for name, figure in self.table.items()},
            "secondary": self.secondary,
            "lesion_truth": self.truth,
            "forensics": self.forensics,
            "provenance": self.provenance,
        }


def summarise(
    resolution: Resolution,
    scored: Sequence[Scored],
    threshold: float,
    draws: int,
    seed: int,
    provenance: dict[str, Any],
) -> Result:
    """Figures of all scored mammograms of one resolution."""
    predictions = [s.real for s in scored] + [s.fake for s in scored if s.fake]
    cases = Cases.pair(predictions, {s.real.key: s.density for s in scored})
    table = table1(cases, threshold, draws, seed)
    by_density = fooled_by_density(cases, threshold, draws, seed)
    secondary = {
        "sensitivity": dataclasses.asdict(table["positives_right"]),
        "specificity": dataclasses.asdict(table["negatives_right"]),
        "mean_probability": {str(d): mean_change(cases, d) for d in Direction},
        "identity": {str(d): identity_distance(_changes(scored, d)) for d in Direction},
        "fooled_by_density": {d: {k: dataclasses.asdict(f) for k, f in by.items()} for d, by in by_density.items()},
    }
    truth = removal_summary(_changes(scored, Direction.REMOVE))
    return Result(resolution, predictions, cases, table, secondary, truth, provenance, forensics=giveaways(scored))


def identity_distance(changes: Sequence[Change]) -> dict[str, float | int | None]:
    """Eq. 7, ||fake - real||^2 / ||real||^2 in normalised space: over all images as one batch, and image by image."""
    if not changes:
        return {"images": 0, "together": None, "median": None}
    above, below = (np.array([getattr(c, name) for c in changes]) for name in ("above", "below"))
    return {
        "images": len(changes),
        "together": float(above.sum() / below.sum()),
        "median": float(np.median(above / below)),
    }


def removal_summary(changes: Sequence[Change]) -> dict[str, Any] | None:
    """Median and quartiles of each measure of Removal over the images that have it; None without known lesions."""
    removals = [c.removal for c in changes if c.removal]
    if not removals:
        return None
    names = ("energy_near", "area_near", "untouched", "removed", "way")
    return {"images": len(removals)} | {name: _spread([getattr(r, name) for r in removals]) for name in names}


def _spread(values: Sequence[float | None]) -> dict[str, float | int | None]:
    known = [v for v in values if v is not None]
    if not known:
        return {"images": 0, "median": None, "low_quartile": None, "high_quartile": None}
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    return {
        "images": len(known),
        "median": float(middle),
        "low_quartile": float(low),
        "high_quartile": float(high),
    }


def _changes(scored: Sequence[Scored], direction: Direction) -> list[Change]:
    return [s.change for s in scored if s.change and s.fake and s.fake.direction == direction]
