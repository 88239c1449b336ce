"""Where does the change sit: in the lesion, where a victim looks, or everywhere?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from mammogan.data.blobs.blob_detector import breast_of
from mammogan.data.shards.reader import Sample
from mammogan.errors import UserError
from mammogan.evaluation.beyond.attacked import Attacked
from mammogan.evaluation.beyond.deeper_run import OWN, DeeperRun
from mammogan.evaluation.beyond.localisation import (
    TOP,
    Map,
    compactness,
    energy_of,
    input_gradient,
    overlap,
    overlap_by_chance,
    share_in,
    smoothed,
)
from mammogan.evaluation.beyond.regions import ArchiveRegions, Regions
from mammogan.evaluation.beyond.section import Section, TitledTable
from mammogan.evaluation.phantom_truth import PhantomTruth, phantom_truth
from mammogan.evaluation.report.plot_style import INSERT, REMOVE, drawing
from mammogan.evaluation.report.table_cells import Cell, Row, Table, figure_cell
from mammogan.evaluation.victims.victim import HasLogits
from mammogan.statistics.clustered import clustered_share
from mammogan.statistics.figure import Figure
from mammogan.workspace import Direction

SAYS = (
    "Compactness is the smallest share of the breast that holds half of a change's energy (squared difference): a "
    "change of one lesion takes few percent, random noise half. Overlap compares the most changed 5% of the breast "
    "with the 5% that move a victim's score most (its input gradient): unrelated maps overlap by "
    f"{100 * overlap_by_chance():.1f}%."
)
SAYS_NOT = (
    "Without truth none of this shows that a change is at a lesion. Overlap with A, which the attacks were made "
    "against, is nearly circular: it shows what an attack uses. Only a victim that the attack did not see says more. "
    "With phantoms it is known where each lesion is, and with archives that outline lesions; near means within 1.5 "
    "radii of a phantom's lesion, or in an archive's outline, mask or box."
)


@dataclass
class Places:
    """What was measured of one attack and direction; one value an image."""

    attack: str
    direction: Direction
    in_breast: list[float] = field(default_factory=list)
    half: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    """As ``half``, for 90% of the energy."""
    overlaps: dict[str, list[float]] = field(default_factory=dict)
    """By victim."""
    constant: int = 0
    """Images left out of an overlap, since the change or the gradient was the same everywhere in the breast."""
    near: list[float] = field(default_factory=list)
    area_near: list[float] = field(default_factory=list)
    peak_near: list[bool] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    """Of the images in ``peak_near``."""

    @property
    def peaks(self) -> Figure:
        """Share of the images whose smoothed change is largest near a lesion."""
        near = np.array(self.peak_near, bool)
        return clustered_share(near, np.ones_like(near), self.patients, "no known lesion")


def measure_localisation(run: DeeperRun) -> Section:
    """Measure the section on every attack, with the gradients of every victim that has them."""
    gradients = _gradients(run)
    rows = []
    for source in run.sources:
        attacked = run.attacked(source)
        rows += [_measured(run, attacked, direction, gradients, run.regions) for direction in Direction]
    unknown = len(run.regions.unknown) if isinstance(run.regions, ArchiveRegions) else 0
    return localisation_section([row for row in rows if row.half], list(gradients), unknown)


def _gradients(run: DeeperRun) -> dict[str, list[Map]]:
    """Return the smoothed input gradients of the originals, by victim."""
    found: dict[str, list[Map]] = {}
    for victim in run.victims_here:
        if victim.differentiable:
            asked = cast("HasLogits", victim)
            found[victim.name] = [smoothed(input_gradient(asked, one[None])[0]) for one in run.originals.pixels]
    return found


def _measured(
    run: DeeperRun,
    attacked: Attacked,
    direction: Direction,
    gradients: dict[str, list[Map]],
    regions: Regions | None,
) -> Places:
    truth = phantom_truth(run.workspace.cohort)
    places = Places(attacked.name, direction, overlaps={victim: [] for victim in gradients})
    for at in np.flatnonzero(attacked.made & run.originals.of(direction)):
        sample = run.originals.samples[at]
        breast, energy = breast_of(sample.pixels), energy_of(sample.pixels, attacked.pixels[at])
        if not energy.any() or not breast.any():
            continue
        places.in_breast.append(share_in(energy, breast) or 0.0)
        for values, share in ((places.half, 0.5), (places.most, 0.9)):
            if (found := compactness(energy, breast, share)) is not None:
                values.append(found)
        change = smoothed(energy)
        for victim, maps in gradients.items():
            try:
                places.overlaps[victim].append(overlap(change, maps[at], breast))
            except UserError:
                places.constant += 1
        near = _near(sample, truth, regions) if direction is Direction.REMOVE else None
        if near is not None and near.any():
            places.near.append(share_in(energy, near) or 0.0)
            places.area_near.append(float(near[breast].mean()))
            places.peak_near.append(bool(near[np.unravel_index(int(change.argmax()), change.shape)]))
            places.patients.append(sample.facts["patient"])
    return places


def _near(sample: Sample, truth: PhantomTruth, regions: Regions | None) -> np.ndarray | None:
    """Return the pixels near a phantom's lesion, or in the regions of an archive or a table; None if none is known."""
    near = truth.near(sample.key, sample.facts)
    return regions.of(sample.key, sample.facts) if near is None and regions else near


def localisation_section(rows: Sequence[Places], victims: Sequence[str], unknown: int = 0) -> Section:
    """Return the section of what was measured; the table with truth only where some is known.

    ``unknown``: originals of which the archive has a lesion region that could not be used; they are without truth.
    """
    tables = [TitledTable("Without truth: medians, quartiles in grey", _table(rows, victims))]
    with_truth = [row for row in rows if row.near]
    if with_truth:
        tables.append(TitledTable("With truth: known lesions, removals", _truth_table(with_truth)))
    constant = sum(row.constant for row in rows)
    notes = [f"{constant} overlaps were left out, since a map was constant in the breast."] if constant else []
    if unknown:
        notes.append(f"Originals without truth, since a lesion region of theirs could not be used: {unknown}.")
    return Section(
        name="localisation",
        title="Where does the change sit?",
        says=SAYS,
        says_not=SAYS_NOT,
        tables=tables,
        values={"top": TOP, "overlap_by_chance": overlap_by_chance(), "rows": [_values(row) for row in rows]},
        draw=partial(_draw, rows),
        caption="Share of the breast that holds half of each change's energy, one point an image. "
        "Green: removals. Orange: insertions.",
        notes=notes,
    )


def _quartiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    low, median, high = np.quantile(np.array(values), (0.25, 0.5, 0.75))
    return {"median": float(median), "low": float(low), "high": float(high), "images": len(values)}


def _values(row: Places) -> dict[str, Any]:
    return {
        "attack": row.attack,
        "direction": str(row.direction),
        "in_breast": _quartiles(row.in_breast),
        "breast_holding_half": _quartiles(row.half),
        "breast_holding_90_percent": _quartiles(row.most),
        "overlap": {victim: _quartiles(values) for victim, values in row.overlaps.items()},
        "energy_near_lesion": _quartiles(row.near),
        "breast_near_lesion": _quartiles(row.area_near),
        "peak_near_lesion": {"numerator": row.peaks.numerator, "denominator": row.peaks.denominator},
    }


def _cell(values: Sequence[float]) -> Cell:
    found = _quartiles(values)
    if found is None:
        return Cell("n/a")
    text, low, high = (f"{100 * found[name]:.1f}" for name in ("median", "low", "high"))
    return Cell(f"{text}%", below=f"{low}\N{EN DASH}{high}%")


def _table(rows: Sequence[Places], victims: Sequence[str]) -> Table:
    heads = [Cell("Energy in the breast"), Cell("Breast that holds half"), Cell("Breast that holds 90%")]
    heads += [
        Cell(f"Overlap with {victim}", below="which the attack saw" if victim == OWN else "not seen by the attack")
        for victim in victims
    ]
    body = [
        Row(
            Cell(f"{row.attack}, {row.direction}"),
            [_cell(row.in_breast), _cell(row.half), _cell(row.most), *(_cell(row.overlaps[v]) for v in victims)],
        )
        for row in rows
    ]
    return Table(heads, body)


def _truth_table(rows: Sequence[Places]) -> Table:
    heads = [Cell("Energy near the lesion"), Cell("Breast that is near it"), Cell("Largest change near it")]
    return Table(
        heads,
        [Row(Cell(row.attack), [_cell(row.near), _cell(row.area_near), figure_cell(row.peaks)]) for row in rows],
    )


def _draw(rows: Sequence[Places], path: Path, note: str) -> None:
    names = list(dict.fromkeys(row.attack for row in rows))
    with drawing(path, 1, (7.4, 0.42 * len(names) + 1.1), note) as (_, (panel,)):
        for row in rows:
            is_removal = row.direction is Direction.REMOVE
            at = names.index(row.attack) + (-0.15 if is_removal else 0.15)
            colour = REMOVE if is_removal else INSERT
            panel.plot(row.half, [at] * len(row.half), "o", color=colour, ms=3.5, alpha=0.45, clip_on=False)
            panel.plot(np.median(row.half), at, "|", color=colour, ms=13, mew=2)
        panel.set_yticks(range(len(names)), names)
        panel.set(
            ylim=(len(names) - 0.5, -0.5), xlim=(0, 0.55), xlabel="share of the breast that holds half the energy"
        )
