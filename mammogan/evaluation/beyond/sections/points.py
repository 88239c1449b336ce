"""Table 1 at four thresholds, with intervals by formula; calibration; and the test of the two AUCs' difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mammogan.attack.config import EvaluateConfig
from mammogan.errors import MissingInput
from mammogan.evaluation.beyond.attack_sources import title_of
from mammogan.evaluation.beyond.deeper_run import DeeperRun
from mammogan.evaluation.beyond.section import Section, TitledTable
from mammogan.evaluation.beyond.shares import Calls
from mammogan.evaluation.calibration import Calibration, calibration
from mammogan.evaluation.operating_points import OperatingPoint
from mammogan.evaluation.report.plot_style import INSERT, REMOVE, drawing
from mammogan.evaluation.report.table_cells import Cell, Row, Table, figure_cell
from mammogan.evaluation.score_plan import Scoring
from mammogan.evaluation.scoring import scored
from mammogan.evaluation.table1 import ROWS, Cases
from mammogan.io.shell import shell_word
from mammogan.statistics.clustered import AucComparison, clustered_auc, compare_aucs
from mammogan.statistics.figure import Bools, Figure, Floats
from mammogan.workspace import Direction, Workspace

SAYS = (
    "The threshold decides the headline. Each column calls the same probabilities at another threshold, chosen on the "
    "validation split, on which no figure here is measured. Where a direction's rates differ much between columns, a "
    "single fooled rate describes the threshold as much as the attack."
)
SAYS_NOT = (
    "It does not say which threshold a clinic would use, and thresholds that few validation images decide are noisy. "
    "Shares have Wilson's interval on the images divided by the design effect of patients with several images, AUCs "
    "an interval on the logit, and the difference of AUCs DeLong's test for clustered data (Obuchowski 1997): "
    "formulas. The two AUCs have different labels, so equal means "
    "as separable as before, not unharmed."
)


@dataclass(frozen=True)
class PointsColumn:
    """What the section knows of one objective or attack at all scored mammograms of the test split."""

    title: str
    cases: Cases


def measure_points(run: DeeperRun) -> Section:
    """Measure the section on all images that mammogan evaluate has scored."""
    columns = [PointsColumn(title_of(view.objective), _evaluated(run, view)) for view in run.views]
    validation = run.own.scores(run.validation.images), run.validation.positive
    return points_section(columns, run.points_of(run.own), validation)


def _evaluated(run: DeeperRun, view: Workspace) -> Cases:
    """Return the scores that mammogan evaluate has made; MissingInput if it has not."""
    generators = [view.gan_run(run.resolution, direction).name for direction in Direction]
    wanted = EvaluateConfig(
        models=run.config.models,
        cad=run.config.cad,
        controls=False,
        out_of_domain="as evaluated",
        origin_unknown=(run.source.name, *generators),
        pool=True,
    )
    tasks = Scoring.of(view, run.resolution, wanted).tasks()
    if any(task.outdated() for task in tasks):
        raise MissingInput(
            "the mammograms of the test split are not all scored, or their CAD or pixels changed since; run\n"
            f"  mammogan evaluate --workspace {shell_word(run.workspace.root)}"
            + (f" --cad {shell_word(run.config.cad)}" if run.config.cad else "")
        )
    found = scored(tasks)
    return Cases.pair([s.real for s in found] + [s.fake for s in found if s.fake])


def points_section(
    columns: Sequence[PointsColumn], points: Sequence[OperatingPoint], validation: tuple[Floats, Bools]
) -> Section:
    """Return the section; ``validation`` are probabilities and labels of the validation split."""
    found = {column.title: _at_points(column.cases, points) for column in columns}
    aucs = {column.title: _aucs(column.cases) for column in columns}
    first = columns[0].cases
    calibrated = {
        "validation": calibration(*validation),
        "test": calibration(first.before, first.positive),
    }
    tables = [TitledTable(f"{title}", _points_table(points, figures)) for title, figures in found.items()]
    tables.append(TitledTable("Areas under the ROC curve, and their difference", _auc_table(aucs)))
    tables.append(TitledTable("Calibration of the CAD on original mammograms", _calibration_table(calibrated)))
    return Section(
        name="points",
        title="At which threshold?",
        says=SAYS,
        says_not=SAYS_NOT,
        tables=tables,
        values={
            "points": [dataclasses.asdict(point) for point in points],
            "table1": {
                title: {p: {n: dataclasses.asdict(f) for n, f in rows.items()} for p, rows in by_point.items()}
                for title, by_point in found.items()
            },
            "auc": {title: _auc_values(*one) for title, one in aucs.items()},
            "calibration": {split: dataclasses.asdict(one) for split, one in calibrated.items()},
        },
        draw=partial(_draw, found),
        caption="Share of right calls that each attack turns, at each threshold, with 95% intervals.",
    )


def _at_points(cases: Cases, points: Sequence[OperatingPoint]) -> dict[str, dict[str, Figure]]:
    """Return point -> row of Table 1 -> share."""
    found = {}
    for point in points:
        calls = Calls(cases.patients, cases.positive, cases.before, cases.after, point.threshold)
        found[point.name] = {
            "positives_right": calls.read(Direction.REMOVE),
            "fooled_remove": calls.fooled(Direction.REMOVE),
            "negatives_right": calls.read(Direction.INSERT),
            "fooled_insert": calls.fooled(Direction.INSERT),
            "fooled_both": calls.fooled(None),
        }
    return found


def _aucs(cases: Cases) -> tuple[Figure, Figure, AucComparison | None]:
    """Return the AUC of real images, that of adversarial ones with flipped labels, and their comparison, each on the
    images that have an adversarial one."""
    there = cases.has_adversarial
    patients = [p for p, has in zip(cases.patients, there, strict=True) if has]
    positive, before, after = cases.positive[there], cases.before[there], cases.after[there]
    if not positive.any() or positive.all():
        nothing = Figure(None, reason="an AUC needs adversarial images of both classes")
        return nothing, nothing, None
    real, adversarial = clustered_auc(positive, before, patients), clustered_auc(~positive, after, patients)
    return real, adversarial, compare_aucs(before, positive, after, ~positive, patients)


def _auc_values(real: Figure, adversarial: Figure, compared: AucComparison | None) -> dict[str, Any]:
    test = None
    if compared is not None:
        test = {name: getattr(compared, name) for name in ("difference", "standard_error", "z", "p")}
    return {"real": dataclasses.asdict(real), "adversarial": dataclasses.asdict(adversarial), "difference": test}


def _points_table(points: Sequence[OperatingPoint], figures: dict[str, dict[str, Figure]]) -> Table:
    heads = [Cell(point_title(point), below=f"above {point.threshold:.3f}") for point in points]
    rows = [
        Row(Cell(ROWS[name]), [figure_cell(figures[point.name][name]) for point in points], _kind(name))
        for name in figures[points[0].name]
    ]
    return Table(heads, rows)


def _kind(row: str) -> str:
    return {"fooled_remove": "of", "fooled_insert": "of", "fooled_both": "total"}.get(row, "")


def point_title(point: OperatingPoint) -> str:
    """Return the head of a point's column."""
    return "as in Table 1" if point.name == "given" else point.name


def _auc_table(aucs: dict[str, tuple[Figure, Figure, AucComparison | None]]) -> Table:
    heads = [Cell("Original"), Cell("Adversarial, flipped labels"), Cell("Difference"), Cell("p")]
    rows = []
    for title, (real, adversarial, compared) in aucs.items():
        test = [Cell("n/a"), Cell("n/a")]
        if compared is not None:
            error = f"standard error {compared.standard_error:.3f}"
            test = [Cell(f"{compared.difference:+.3f}", below=error), Cell(_p_text(compared.p))]
        rows.append(Row(Cell(title), [figure_cell(real), figure_cell(adversarial), *test]))
    return Table(heads, rows)


def _p_text(p: float) -> str:
    if np.isnan(p):
        return "n/a"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _calibration_table(found: dict[str, Calibration]) -> Table:
    heads = [
        *(
            Cell("Slope", why="of the outcome on the logit; 1 is right, above 1 the CAD is too timid"),
            Cell("Brier score"),
        ),
        *(Cell("Brier score of saying the prevalence"), Cell("Mean probability"), Cell("Prevalence")),
    ]
    rows = []
    for split, one in found.items():
        slope = Cell("n/a", why="one class only, or the classes do not overlap")
        if one.slope is not None:
            slope = Cell(f"{one.slope:.2f}")
        numbers = (one.brier, one.brier_of_prevalence, one.mean_probability, one.prevalence)
        rows.append(Row(Cell(split), [slope, *(Cell(f"{number:.3f}") for number in numbers)]))
    return Table(heads, rows)


def _draw(found: dict[str, dict[str, dict[str, Figure]]], path: Path, note: str) -> None:
    with drawing(path, len(found), (3.9 * len(found) + 0.6, 3.4), note) as (_, panels):
        for panel, (title, by_point) in zip(panels, found.items(), strict=True):
            for row, colour, offset in (("fooled_remove", REMOVE, -0.1), ("fooled_insert", INSERT, 0.1)):
                for at, figures in enumerate(by_point.values()):
                    figure = figures[row]
                    if figure.value is not None and figure.low is not None and figure.high is not None:
                        panel.vlines(at + offset, figure.low, figure.high, color=colour, lw=1.4)
                        panel.plot(at + offset, figure.value, "o", color=colour, ms=6, clip_on=False)
            names = ["Table 1" if name == "given" else name.replace("% s", "%\ns") for name in by_point]
            panel.set_xticks(range(len(by_point)), names, fontsize=7.5)
            panel.set(xlim=(-0.5, len(by_point) - 0.5), ylim=(-0.02, 1.02))
            panel.set_title(title)
        panels[0].set_ylabel("fooled: remove (green), insert (orange)")
