"""Says how well attacks are detected: by simple measures, by learned detectors, and by a detector in front of the CAD
that raises alarm for a fixed share of original mammograms."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mammogan.evaluation.beyond.attacked import Attacked
from mammogan.evaluation.beyond.deeper_run import DeeperRun, main_point
from mammogan.evaluation.beyond.detector_material import KeptDetectors, Material, attacked_training, images_of
from mammogan.evaluation.beyond.section import Section, TitledTable
from mammogan.evaluation.detector import Detector, Images, check_disjoint
from mammogan.evaluation.forensics.giveaways import ARTEFACTS, NAMES, giveaways
from mammogan.evaluation.forensics.measures import ForensicPair
from mammogan.evaluation.predictions import Prediction
from mammogan.evaluation.report.plot_style import FAKE, HAIR, REAL, drawing
from mammogan.evaluation.report.table_cells import Cell, Row, Table, figure_cell
from mammogan.evaluation.scores import Scored
from mammogan.statistics.clustered import clustered_share
from mammogan.statistics.figure import Figure, Floats
from mammogan.workspace import Direction

SAYS = (
    "First what needs no learning: the AUC with which one number of an image separates it from originals of the class "
    "that it pretends. Then small networks that were trained on an attack's images of other patients, each tested on "
    "all attacks and directions; the AUC on what they were trained on stands beside. Then the CAD with a detector in "
    "front that raises alarm at one in ten originals: how many attacks still get through."
)
SAYS_NOT = (
    "A detector that finds an attack knew it; the columns of other attacks show what it knows of those it has not "
    "seen. An AUC of .5 of these small detectors does not say that no detector could tell, and an attacker who knows "
    "the detector can attack it too. Where the training AUC is low, the detector had not learned enough to say "
    "anything."
)
ALARM = 0.1
"""Share of real mammograms that raise alarm."""
WORST = ("zeros", "off_grid", "distinct", "slope", "noise")
"""Forensic numbers in the table; all are in evaluation.json."""
SHORT = {
    "zeros": "zeros",
    "off_grid": "off the grey grid",
    "distinct": "distinct greys",
    "slope": "slope",
    "noise": "noise",
}


@dataclass(frozen=True)
class Learned:
    """The detectors that were trained on one attack and direction, one a seed."""

    attack: str
    direction: str
    """remove, insert or both."""
    trained_on: str
    """Splits of the training images."""
    train: Sequence[float]
    """AUC on the training images, by seed."""
    test: dict[str, Sequence[float]]
    """AUC on each attack and direction of the test split, by seed."""


@dataclass(frozen=True)
class InFront:
    """The CAD with the detectors of one attack in front of it."""

    attack: str
    alarms: Figure
    """Share of the real mammograms of the test split that raise alarm."""
    without: dict[str, Figure]
    through: dict[str, Figure]
    """Share of right calls that the attack turns without and with the detector, by direction."""


def measure_detection(run: DeeperRun) -> Section:
    """Measure the section: detectors are trained where they are not kept."""
    sources = run.learnable_sources
    tested = {source.name: run.attacked(source) for source in run.sources}
    numbers = {name: _forensics(attacked) for name, attacked in tested.items()}
    material = Material.of(run)
    check_disjoint(material.train.patients + material.alarm.patients, run.originals.patients)
    kept = KeptDetectors(run.kept / "detectors", run.config.detector_steps, run.device)
    tests = {
        f"{source.name}, {direction}": images_of(tested[source.name], direction, run.originals)
        for source in sources
        for direction in Direction
    }
    learned, in_front = [], []
    for source in sources:
        training = attacked_training(run, source, material)
        for direction in Direction:
            learned += _learned(run, kept, source.name, direction, training, material, tests)
        if len(material.alarm):
            in_front.append(_in_front(run, kept, tested[source.name], training, material))
    return detection_section(numbers, learned, in_front, run.config.detector_seeds)


def _forensics(attacked: Attacked) -> dict[str, Any]:
    """Return the forensic AUCs of an attack, as the report of Table 1 has them."""
    scored = [
        Scored(
            Prediction("", sample.key, sample.facts["patient"], sample.facts["label"], 0.0, "real"),
            Prediction("", sample.key, sample.facts["patient"], "", 0.0, "adversarial") if made else None,
            "",
            None,
            ForensicPair.measure(sample.pixels, pixels if made else None),
        )
        for sample, pixels, made in zip(attacked.originals.samples, attacked.pixels, attacked.made, strict=True)
    ]
    return giveaways(scored)


def _learned(
    run: DeeperRun,
    kept: KeptDetectors,
    attack: str,
    direction: Direction,
    training: Attacked,
    material: Material,
    tests: dict[str, Images],
) -> list[Learned]:
    """Train detectors on all training images, and on those of validation alone."""
    found = []
    of_validation = set(material.validation.keys)
    alone = np.array([key in of_validation for key in training.originals.keys], dtype=bool)
    only = dataclasses.replace(training, made=training.made & alone)
    for splits, attacked, reals in (
        ("train, validation", training, material.train),
        ("validation", only, material.validation),
    ):
        images = images_of(attacked, direction, reals)
        if not len(images.real) or not len(images.adversarial):
            continue
        detectors = _detectors(run, kept, f"{attack} {direction} {splits}", images)
        found.append(
            Learned(
                attack,
                str(direction),
                splits,
                [detector.auc(images) for detector in detectors],
                {name: _aucs(detectors, test) for name, test in tests.items()},
            )
        )
    return found


def _detectors(run: DeeperRun, kept: KeptDetectors, name: str, images: Images) -> list[Detector]:
    return [kept.of(name, images, run.config.seed + seed) for seed in range(run.config.detector_seeds)]


def _aucs(detectors: Sequence[Detector], test: Images) -> list[float]:
    if not len(test.real) or not len(test.adversarial):
        return []
    return [detector.auc(test) for detector in detectors]


def _in_front(
    run: DeeperRun, kept: KeptDetectors, attacked: Attacked, training: Attacked, material: Material
) -> InFront:
    """Put the detectors of both directions, their mean score, in front of the CAD."""
    images = images_of(training, None, material.train)
    detectors = _detectors(run, kept, f"{attacked.name} both", images)

    def score(pixels: np.ndarray) -> Floats:
        found: Floats = np.mean([detector.scores(pixels) for detector in detectors], axis=0)
        return found

    limit = float(np.quantile(score(material.alarm.pixels), 1 - ALARM))
    calls = run.calls(run.own, attacked, main_point(run.points_of(run.own)).threshold)
    alarmed = score(run.originals.pixels) > limit
    alarms = clustered_share(alarmed, np.ones_like(alarmed), run.originals.patients, "no original")
    unseen = score(attacked.pixels) <= limit
    through = dataclasses.replace(calls, after=np.where(unseen | np.isnan(calls.after), calls.after, calls.before))
    return InFront(
        attacked.name,
        alarms,
        {str(direction): calls.fooled(direction) for direction in Direction},
        {str(direction): through.fooled(direction) for direction in Direction},
    )


def detection_section(
    numbers: dict[str, dict[str, Any]], learned: Sequence[Learned], in_front: Sequence[InFront], seeds: int
) -> Section:
    """Return the section of what was measured: tables, words, picture and values."""
    tables = [TitledTable("One number of an image, AUC", _numbers_table(numbers))]
    if learned:
        title = f"Learned detectors: AUC on the test split, mean of {seeds} (range)"
        tables.append(TitledTable(title, _learned_table(learned)))
    if in_front:
        tables.append(TitledTable("The CAD with a detector of the attack in front", _front_table(in_front)))
    return Section(
        name="detection",
        title="Who notices?",
        says=SAYS,
        says_not=SAYS_NOT,
        tables=tables,
        values={
            "forensics": numbers,
            "alarm_at_share_of_real": ALARM,
            "learned": [dataclasses.asdict(one) for one in learned],
            "in_front": [dataclasses.asdict(one) for one in in_front],
        },
        draw=partial(_draw, learned) if learned else None,
        caption="AUC of each detector on the attack and direction that it was trained on, one point a seed: red on the "
        "test split, blue on its training images.",
    )


def _numbers_table(numbers: dict[str, dict[str, Any]]) -> Table:
    heads = [Cell(SHORT[name]) for name in WORST] + [Cell("most revealing artefact")]
    rows = []
    for attack, by_direction in numbers.items():
        for direction, found in by_direction.items():
            if not found["images"]:
                continue
            aucs = {name: found["auc"][name]["of_pretended"] for name in NAMES}
            known = {name: aucs[name] for name in ARTEFACTS if aucs[name] is not None}
            worst = max(known, key=known.__getitem__, default="")
            cells = [Cell("n/a" if aucs[name] is None else f"{aucs[name]:.2f}") for name in WORST]
            cells.append(Cell(f"{worst.replace('_', ' ')} {aucs[worst]:.2f}" if worst else "n/a"))
            rows.append(Row(Cell(f"{attack}, {direction}"), cells))
    return Table(heads, rows)


def _learned_table(learned: Sequence[Learned]) -> Table:
    heads = [Cell("On its training images"), *(Cell(f"on {name}") for name in learned[0].test)]
    rows = [
        Row(
            Cell(f"{one.attack}, {one.direction}", below=f"trained on {one.trained_on}"),
            [_auc_cell(one.train), *(_auc_cell(values) for values in one.test.values())],
        )
        for one in learned
    ]
    return Table(heads, rows)


def _auc_cell(values: Sequence[float]) -> Cell:
    if not values:
        return Cell("n/a")
    return Cell(f"{np.mean(values):.2f}", below=f"{min(values):.2f}\N{EN DASH}{max(values):.2f}")


def _front_table(in_front: Sequence[InFront]) -> Table:
    heads = [Cell("Alarm at originals")]
    for direction in Direction:
        what = "cancers called negative" if direction is Direction.REMOVE else "negatives called cancer"
        heads += [Cell(f"{what}, no detector"), Cell(f"{what}, and no alarm")]
    rows = []
    for one in in_front:
        cells = [figure_cell(one.alarms)]
        for name in map(str, Direction):
            cells += [figure_cell(one.without[name]), figure_cell(one.through[name])]
        rows.append(Row(Cell(one.attack), cells))
    return Table(heads, rows)


def _draw(learned: Sequence[Learned], path: Path, note: str) -> None:
    with drawing(path, 1, (7.2, 0.42 * len(learned) + 1.1), note) as (_, (panel,)):
        panel.axvline(0.5, color=HAIR, lw=1, zorder=0)
        for at, one in enumerate(learned):
            own = one.test[f"{one.attack}, {one.direction}"]
            panel.plot(one.train, [at - 0.14] * len(one.train), "o", color=REAL, ms=4, alpha=0.7, clip_on=False)
            panel.plot(own, [at + 0.14] * len(own), "o", color=FAKE, ms=5, clip_on=False)
        panel.set_yticks(
            range(len(learned)), [f"{one.attack}, {one.direction}\n({one.trained_on})" for one in learned], fontsize=7.5
        )
        panel.set(xlim=(0, 1.01), ylim=(len(learned) - 0.5, -0.5), xlabel="AUC: 0.5 is chance")
