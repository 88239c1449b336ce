"""Which victim withstands attacks that are made against itself? Clean AUC beside robustness."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from mammogan.evaluation.beyond.attack_sources import baseline_source
from mammogan.evaluation.beyond.deeper_run import OWN, DeeperRun, main_point
from mammogan.evaluation.beyond.section import Section, TitledTable
from mammogan.evaluation.report.plot_style import INSERT, REMOVE, drawing, mark_interval
from mammogan.evaluation.report.table_cells import Cell, Row, Table, figure_cell
from mammogan.evaluation.victims.victim import NetworkVictim
from mammogan.models.networks import Critic
from mammogan.statistics.clustered import clustered_auc
from mammogan.statistics.figure import Figure
from mammogan.workspace import Direction

SAYS = (
    "Here every attack is made against the victim that it is shown to, which has to be differentiable. Beside the AUC "
    "on unchanged originals stands what the same originals give after each attack, by their true labels: an AUC near "
    "0 means that the attack turns nearly every pair around. A CAD of --adversarial-training is compared with one "
    "without it as another victim."
)
SAYS_NOT = (
    "Withstanding these attacks at these budgets is no guarantee against others: a victim whose gradients are useless "
    "to an attacker looks robust here, so look at Square and noise too. Robustness usually costs clean AUC."
)


@dataclass(frozen=True)
class Withstood:
    """One victim under one attack that was made against it; ``attack`` is empty for the originals."""

    victim: str
    attack: str
    auc: Figure
    """By the true labels."""
    fooled: dict[str, Figure]
    """By direction; empty for the originals."""


class _AsCad(nn.Module):
    """A victim in the form in which attacks take a CAD."""

    def __init__(self, victim: NetworkVictim) -> None:
        super().__init__()
        self.network, self.victim = victim.network, victim

    def forward(self, pixels: Tensor) -> Tensor:
        return self.victim.logits(pixels)

    def positive_probability(self, pixels: Tensor) -> Tensor:
        return self.victim.positive_probability(pixels).to(pixels.device)


def measure_robustness(run: DeeperRun) -> Section:
    """Measure the section: attacks against A are those of the other sections, against others they are made here."""
    rows = []
    for scorer, victim in zip(run.scorers, run.victims_here, strict=False):
        if not isinstance(victim, NetworkVictim):
            continue
        threshold = main_point(run.points_of(scorer)).threshold
        positive, patients = run.originals.positive, run.originals.patients
        rows.append(
            Withstood(victim.name, "", clustered_auc(positive, scorer.scores(run.originals.as_set), patients), {})
        )
        cad = cast("Critic", _AsCad(victim))
        batch = min(run.config.batch, victim.at_once)
        for text in run.config.baseline:
            source = baseline_source(text, cad, victim.sha256, batch)
            if victim.name != OWN:
                source = dataclasses.replace(source, name=f"{source.name} against {victim.name}")
            attacked = run.attacked(source)
            calls = run.calls(scorer, attacked, threshold)
            fooled = {str(direction): calls.fooled(direction) for direction in Direction}
            area = clustered_auc(positive, calls.after, patients)
            rows.append(Withstood(victim.name, text.replace("=", " "), area, fooled))
    return robustness_section(rows)


def robustness_section(rows: Sequence[Withstood]) -> Section:
    """Return the section of what was measured: table, words, picture and values."""
    return Section(
        name="robustness",
        title="Which classifier withstands?",
        says=SAYS,
        says_not=SAYS_NOT,
        tables=[TitledTable("AUC by the true labels, and turned calls", _table(rows))],
        values={"rows": [dataclasses.asdict(row) for row in rows]},
        draw=partial(_draw, rows),
        caption="Share of right calls that turn under attacks against the victim itself. "
        "Green: cancers called negative. Orange: negatives called cancer.",
    )


def _table(rows: Sequence[Withstood]) -> Table:
    heads = [Cell("AUC"), Cell("Cancers called negative"), Cell("Negatives called cancer")]
    body = []
    for row in rows:
        cells = [figure_cell(row.fooled[str(d)]) if row.fooled else Cell("") for d in Direction]
        head = Cell(f"{row.victim}: {row.attack or 'originals'}")
        body.append(Row(head, [figure_cell(row.auc), *cells], "of" if row.attack else ""))
    return Table(heads, body)


def _draw(rows: Sequence[Withstood], path: Path, note: str) -> None:
    shown = [row for row in rows if row.attack]
    with drawing(path, 1, (7.2, 0.34 * len(shown) + 1.1), note) as (_, (panel,)):
        for at, row in enumerate(shown):
            for direction, colour, offset in ((Direction.REMOVE, REMOVE, -0.14), (Direction.INSERT, INSERT, 0.14)):
                mark_interval(panel, row.fooled[str(direction)], at + offset, colour)
        panel.set_yticks(range(len(shown)), [f"{row.victim}: {row.attack}" for row in shown])
        panel.set(xlim=(-0.03, 1.03), ylim=(len(shown) - 0.5, -0.5), xlabel="share of right calls that turn")
