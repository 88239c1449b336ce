"""Collect all results of one report column: Table 1 and the further figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mammogan.attack.config import column_folder, column_name
from mammogan.data.inspect.population import Population
from mammogan.evaluation.examples import Example
from mammogan.evaluation.forensics.giveaways import giveaways
from mammogan.evaluation.lesion.controls import ControlScore
from mammogan.evaluation.lesion.summary import control_summary, insertion_summary, removal_summary
from mammogan.evaluation.predictions import Prediction
from mammogan.evaluation.scores import Change, Scored
from mammogan.evaluation.table1 import Cases, fooled_by_density, mean_change, table1
from mammogan.statistics.bootstrap import Resampling
from mammogan.statistics.figure import Figure
from mammogan.workspace import Direction, Resolution


@dataclass(frozen=True)
class Result:
    """One column of the report: the results of one resolution and objective.

    ``secondary``, ``truth``, ``insertion`` and ``controls`` are ready for JSON; None means not known or not measured.
    """

    resolution: Resolution
    predictions: list[Prediction]
    cases: Cases
    table: dict[str, Figure]
    secondary: dict[str, Any]
    truth: dict[str, Any] | None
    provenance: dict[str, Any]
    examples: dict[Direction, list[Example]] = field(default_factory=dict)
    notice: str = ""
    """A warning to show before the figures; empty if there is none."""
    forensics: dict[str, Any] = field(default_factory=dict)
    """How well each forensic number of an image identifies adversarial ones; see ``giveaways``."""
    objective: str = "study"
    insertion: dict[str, Any] | None = None
    controls: dict[str, Any] | None = None
    population: Population | None = None
    """Whether the mammograms are phantoms or of patients; None: not known."""

    @property
    def note(self) -> str:
        """What every caption of this column says first; empty if the mammograms are of patients."""
        return self.population.note if self.population else ""

    @property
    def name(self) -> str:
        """Title and key of the column, such as '192x160' or '192x160, lesion objective'."""
        return column_name(self.resolution, self.objective)

    @property
    def file_name(self) -> str:
        """The name in a form for file names, such as '192x160-lesion'."""
        return column_folder(self.resolution, self.objective)

    @property
    def twins(self) -> list[Example]:
        """Examples of removal whose lesion-free twin is known."""
        return [e for e in self.examples.get(Direction.REMOVE, []) if e.twin is not None and e.lesion is not None]

    def to_json(self) -> dict[str, Any]:
        return {
            "images": {
                "positive": int(self.cases.positive.sum()),
                "negative": int((~self.cases.positive).sum()),
                "altered": int(self.cases.has_adversarial.sum()),
                "patients": len(set(self.cases.patients)),
            },
            "notice": self.notice,
            "population": self.population.to_json() if self.population else None,
            "table1": {name: dataclasses.asdict(figure) for name, figure in self.table.items()},
            "secondary": self.secondary,
            "lesion_truth": self.truth,
            "forensics": self.forensics,
            "insertion": self.insertion,
            "controls": self.controls,
            "provenance": self.provenance,
        }


def summarise(
    resolution: Resolution,
    scored: Sequence[Scored],
    threshold: float,
    resampling: Resampling,
    provenance: dict[str, Any],
    objective: str = "study",
    controls: Sequence[ControlScore] | None = None,
    lost: Mapping[str, str] | None = None,
) -> Result:
    """Compute the results of all scored mammograms of one resolution and objective.

    ``controls`` None: none were measured. ``lost``: why controls that could once be measured cannot be any more.
    """
    predictions = [s.real for s in scored] + [s.fake for s in scored if s.fake]
    cases = Cases.pair(predictions, {s.real.key: s.density for s in scored})
    table = table1(cases, threshold)
    by_density = fooled_by_density(cases, threshold)
    secondary = {
        "sensitivity": dataclasses.asdict(table["positives_right"]),
        "specificity": dataclasses.asdict(table["negatives_right"]),
        "mean_probability": {str(d): mean_change(cases, d) for d in Direction},
        "identity": {str(d): identity_distance(_changes(scored, d)) for d in Direction},
        "fooled_by_density": {d: {k: dataclasses.asdict(f) for k, f in by.items()} for d, by in by_density.items()},
    }
    removed = [s.real.patient for s in scored if s.change and s.fake and s.fake.direction == Direction.REMOVE]
    truth = removal_summary(_changes(scored, Direction.REMOVE), removed, resampling)
    return Result(
        *(resolution, predictions, cases, table, secondary, truth, provenance),
        objective=objective,
        forensics=giveaways(scored),
        insertion=insertion_summary(scored, threshold, resampling),
        controls=control_summary(scored, controls, threshold, resampling, lost),
    )


def identity_distance(changes: Sequence[Change]) -> dict[str, float | int | None]:
    """Return Eq. 7, ||fake - real||^2 / ||real||^2 in normalised space, over all images as one batch, and the median
    over single images."""
    if not changes:
        return {"images": 0, "together": None, "median": None}
    above, below = (np.array([getattr(c, name) for c in changes]) for name in ("above", "below"))
    return {
        "images": len(changes),
        "together": float(above.sum() / below.sum()),
        "median": float(np.median(above / below)),
    }


def _changes(scored: Sequence[Scored], direction: Direction) -> list[Change]:
    return [s.change for s in scored if s.change and s.fake and s.fake.direction == direction]
