"""Whom else does an attack fool? Attacks made against A are shown to other victims, with the controls that it needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mammogan.evaluation.beyond.deeper_run import DeeperRun, main_point
from mammogan.evaluation.beyond.section import Section, TitledTable
from mammogan.evaluation.beyond.shares import Calls
from mammogan.evaluation.operating_points import OperatingPoint
from mammogan.evaluation.report.plot_style import INSERT, REMOVE, drawing, mark_interval
from mammogan.evaluation.report.table_cells import Cell, Row, Table, figure_cell
from mammogan.evaluation.victims.kept_scores import KeptScores, Scorer
from mammogan.statistics.clustered import clustered_auc
from mammogan.statistics.figure import Bools, Figure, Floats
from mammogan.workspace import Direction

SAYS = (
    "Every attack was made against A and is shown to each victim, at the victim's own threshold, which was chosen on "
    "its scores of the validation split. Two controls belong to every generator: its images made the wrong way round "
    "(does passing through a generator alone turn calls?) and the change that it made for another patient's image "
    "(does the change have to fit the image?)."
)
SAYS_NOT = (
    "A rate that is no higher than its controls is no transfer. It says nothing of victims that are not here, and a "
    "victim that reads the originals badly (its AUC is in the first table) is fooled by anything."
)
ALONE = (
    "A is the only victim here. Name others with --victim B=PATH, or have a system elsewhere score the files of "
    "--export-for-scoring and give its table with --victim-scores B=scores.csv."
)


@dataclass(frozen=True)
class VictimFacts:
    """One victim: what it is, its threshold, and its scores of the validation split."""

    name: str
    sha256: str
    how: str
    """What kind of victim it is, in words."""
    point: OperatingPoint
    validation: Floats
    positive: Bools
    patients: Sequence[str]

    @property
    def auc(self) -> Figure:
        """Its AUC on the validation split."""
        return clustered_auc(self.positive, self.validation, self.patients)


@dataclass(frozen=True)
class TransferRow:
    """One attack, or one control, with what each victim says of its images."""

    name: str
    kind: str
    calls: dict[str, Calls]
    """By victim."""


def measure_transfer(run: DeeperRun) -> Section:
    """Measure the section: every attack and its controls, shown to every victim."""
    victims = [_facts(run, scorer) for scorer in run.scorers]
    rows = []
    for source in run.sources:
        for attacked in run.with_controls(source):
            calls = {
                victim.name: run.calls(scorer, attacked, victim.point.threshold)
                for scorer, victim in zip(run.scorers, victims, strict=True)
            }
            rows.append(TransferRow(attacked.name, attacked.kind, calls))
    return transfer_section(victims, rows, len(run.originals))


def _facts(run: DeeperRun, scorer: Scorer) -> VictimFacts:
    point, validation = main_point(run.points_of(scorer)), run.validation
    how = "scores from outside"
    if isinstance(scorer, KeptScores):
        differentiable = scorer.victim.differentiable
        how = "asked here, with gradients" if differentiable else "asked here, scores only"
    scores = scorer.scores(validation.images)
    return VictimFacts(scorer.name, scorer.sha256, how, point, scores, validation.positive, validation.patients)


def transfer_section(victims: Sequence[VictimFacts], rows: Sequence[TransferRow], images: int) -> Section:
    """Return the section of what was measured; it says so if A is the only victim."""
    found = {
        row.name: {victim: {str(d): calls.fooled(d) for d in Direction} for victim, calls in row.calls.items()}
        for row in rows
    }
    return Section(
        name="transfer",
        title="Whom does it fool?",
        says=SAYS,
        says_not=SAYS_NOT,
        tables=[
            TitledTable("The victims, on the validation split", _victims_table(victims)),
            TitledTable(f"Share of right calls that turn, of {images} originals", _table(victims, rows, found)),
        ],
        values={
            "images": images,
            "victims": {
                victim.name: {
                    "sha256": victim.sha256,
                    "what": victim.how,
                    "point": dataclasses.asdict(victim.point),
                    "auc_validation": dataclasses.asdict(victim.auc),
                }
                for victim in victims
            },
            "rows": [
                {
                    "attack": row.name,
                    "kind": row.kind,
                    "fooled": {
                        victim: {d: dataclasses.asdict(figure) for d, figure in by.items()}
                        for victim, by in found[row.name].items()
                    },
                    "called_positive": {
                        victim: {str(d): int(np.nansum(calls.after[calls.of(d)] > calls.threshold)) for d in Direction}
                        for victim, calls in row.calls.items()
                    },
                }
                for row in rows
            ],
        },
        draw=partial(_draw, victims, rows, found),
        caption="Green: cancers called negative. Orange: negatives called cancer. 95% intervals; controls are hollow.",
        notes=[ALONE] if len(victims) == 1 else [],
    )


def _victims_table(victims: Sequence[VictimFacts]) -> Table:
    heads = [*(Cell(text) for text in ("What it is", "AUC", "Threshold", "Sensitivity", "Specificity"))]
    return Table(heads, [_victim_row(victim) for victim in victims])


def _victim_row(victim: VictimFacts) -> Row:
    point = victim.point
    numbers = (f"{point.threshold:.3f}", f"{100 * point.sensitivity:.0f}%", f"{100 * point.specificity:.0f}%")
    return Row(Cell(victim.name), [Cell(victim.how), figure_cell(victim.auc), *(Cell(number) for number in numbers)])


Found = dict[str, dict[str, dict[str, Figure]]]


def _table(victims: Sequence[VictimFacts], rows: Sequence[TransferRow], found: Found) -> Table:
    words = {"remove": "cancers called negative", "insert": "negatives called cancer"}
    heads = [Cell(f"{victim.name}: {words[d]}") for victim in victims for d in Direction]
    body = []
    for row in rows:
        cells = [figure_cell(found[row.name][victim.name][str(d)]) for victim in victims for d in Direction]
        body.append(Row(Cell(row.name), cells, "of" if row.kind == "control" else ""))
    return Table(heads, body)


def _draw(victims: Sequence[VictimFacts], rows: Sequence[TransferRow], found: Found, path: Path, note: str) -> None:
    with drawing(path, len(victims), (3.2 * len(victims) + 2.4, 0.36 * len(rows) + 1.2), note) as (_, panels):
        for panel, victim in zip(panels, victims, strict=True):
            for at, row in enumerate(rows):
                for direction, colour, offset in ((Direction.REMOVE, REMOVE, -0.14), (Direction.INSERT, INSERT, 0.14)):
                    figure = found[row.name][victim.name][str(direction)]
                    mark_interval(panel, figure, at + offset, colour, hollow=row.kind == "control")
            panel.set(xlim=(-0.03, 1.03), ylim=(len(rows) - 0.5, -0.5))
            panel.set_xticks([0, 0.5, 1], ["0", "50%", "100%"])
            panel.set_title(victim.name)
        panels[0].set_yticks(range(len(rows)), [row.name for row in rows])
