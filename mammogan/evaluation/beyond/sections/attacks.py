"""Is the GAN worse than a simple attack? All attacks on the same originals, with the size of their changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mammogan.evaluation.beyond.attacked import Attacked, Kind
from mammogan.evaluation.beyond.deeper_run import DeeperRun, main_point
from mammogan.evaluation.beyond.section import Section, TitledTable
from mammogan.evaluation.operating_points import OperatingPoint
from mammogan.evaluation.report.plot_style import INSERT, REMOVE, drawing, mark_interval
from mammogan.evaluation.report.table_cells import Cell, Row, Table, figure_cell
from mammogan.statistics.figure import Figure
from mammogan.workspace import Direction

SAYS = (
    "Every row changes the same originals, so the shares can be compared. A generator that fools no more often than a "
    "gradient attack of the same root mean square owes nothing to having learned what cancer looks like; random noise "
    "of the same size is the floor. Sizes are grey levels of 65535, of the largest pixel and over the image."
)
SAYS_NOT = (
    "It does not say that a small change cannot be seen, nor that it changes the lesion. Gradient attacks know this "
    "CAD's weights; an attacker who does not has Square, or transfer. APGD is the version with the cross entropy; the "
    "one called AutoAttack needs three classes."
)


@dataclass(frozen=True)
class AttackRow:
    """One attack on the CAD that it was made against."""

    name: str
    kind: Kind
    norms: dict[str, float]
    fooled: dict[str, dict[str, Figure]]
    """Point -> remove or insert -> share."""


def measure_attacks(run: DeeperRun) -> Section:
    """Measure the section: every attack on the CAD that it was made against."""
    points = run.points_of(run.own)
    rows = [_measured(run, run.attacked(source), points) for source in run.sources]
    return attacks_section(rows, points, len(run.originals))


def _measured(run: DeeperRun, attacked: Attacked, points: Sequence[OperatingPoint]) -> AttackRow:
    fooled = {}
    for point in points:
        calls = run.calls(run.own, attacked, point.threshold)
        fooled[point.name] = {str(direction): calls.fooled(direction) for direction in Direction}
    return AttackRow(attacked.name, attacked.kind, attacked.norms(), fooled)


def attacks_section(rows: Sequence[AttackRow], points: Sequence[OperatingPoint], images: int) -> Section:
    """Return the section; the table is at the threshold of ``main_point``, the other points are in ``values``."""
    main = main_point(points)
    head = f"{images} originals, fooled at {main.name if main.name != 'given' else 'the given threshold'}"
    return Section(
        name="attacks",
        title="Is the GAN worse than a simple attack?",
        says=SAYS,
        says_not=SAYS_NOT,
        tables=[TitledTable(f"{head} (above {main.threshold:.3f})", _table(rows, main))],
        values={
            "images": images,
            "rows": [
                {
                    "attack": row.name,
                    "kind": row.kind,
                    "change_in_grey_of_65535": row.norms,
                    "fooled": {
                        point: {direction: dataclasses.asdict(figure) for direction, figure in by.items()}
                        for point, by in row.fooled.items()
                    },
                }
                for row in rows
            ],
        },
        draw=partial(_draw, rows, main),
        caption="Share of right calls that each attack turns, with 95% intervals; in brackets the median root mean "
        "square of its change, in grey levels. Diamonds: generators.",
    )


def _table(rows: Sequence[AttackRow], main: OperatingPoint) -> Table:
    heads = [
        Cell("Largest pixel, grey", below="median; largest"),
        Cell("Root mean square, grey", below="median; largest"),
        Cell("Cancers called negative"),
        Cell("Negatives called cancer"),
    ]
    return Table(heads, [_row(row, main) for row in rows])


def _row(row: AttackRow, main: OperatingPoint) -> Row:
    n = row.norms
    return Row(
        Cell(row.name),
        [
            Cell(f"{n['linf_median']:.0f}", below=f"{n['linf_largest']:.0f}"),
            Cell(f"{n['rms_median']:.0f}", below=f"{n['rms_largest']:.0f}"),
            *(figure_cell(row.fooled[main.name][str(direction)]) for direction in Direction),
        ],
    )


def _draw(rows: Sequence[AttackRow], main: OperatingPoint, path: Path, note: str) -> None:
    titles = {Direction.REMOVE: "Cancers called negative", Direction.INSERT: "Negatives called cancer"}
    with drawing(path, 2, (9.2, 0.36 * len(rows) + 1.1), note) as (_, panels):
        for panel, direction, colour in zip(panels, Direction, (REMOVE, INSERT), strict=True):
            for at, row in enumerate(rows):
                mark = "D" if row.kind == "generator" else "o"
                mark_interval(panel, row.fooled[main.name][str(direction)], at, colour, mark, size=6)
            panel.set(xlim=(-0.03, 1.03), ylim=(len(rows) - 0.5, -0.5), xlabel="share of right calls that turn")
            panel.set_title(titles[direction])
        names = [f"{row.name} (rms {row.norms['rms_median']:.0f})" for row in rows]
        panels[0].set_yticks(range(len(rows)), names)
