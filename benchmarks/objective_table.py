"""Writes the rows of all seeds as a CSV, and as a table of means and ranges."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from mammogan.io.atomic import read_json, replaced_atomically

MEASURES: dict[str, str] = {
    "fooled_remove": "removal: CAD fooled, of its right calls",
    "black_box_remove": "removal: second CAD fooled, never in the loop",
    "energy_near_median": "removal: energy within 1.5 lesion radii, median",
    "energy_near_mean": "the same, mean",
    "closer_db_median": "removal: dB closer to the twin inside the lesion, median",
    "closer_db_mean": "the same, mean",
    "three_db": "removal: share of images at least 3 dB closer",
    "way_median": "removal: share of the way to the twin, median",
    "identity_remove": "removal: Eq. 7, median",
    "fresh_network_remove": "removal: fresh detector's AUC, network",
    "fresh_network_train_remove": "the same on what it learned from",
    "fresh_spectrum_remove": "removal: fresh detector's AUC, spectrum",
    "artefact_remove": "removal: AUC of the most telling artefact",
    "critic_lived_remove": "removal: share of adversarial epochs with a living critic",
    "critic_alive_remove": "removal: critic alive at the end, share of seeds",
    "critic_sd_remove": "removal: s.d. of the critic's logits at the end",
    "critic_gradient_remove": "removal: norm of the critic's gradient at the end",
    "fooled_insert": "insertion: CAD fooled, of its right calls",
    "black_box_insert": "insertion: second CAD fooled, never in the loop",
    "single_try_fooled": "insertion by a single try: CAD fooled, of its right calls",
    "single_try_called_positive": "insertion by a single try: called positive (real positives: sensitivity)",
    "found": "insertion: found by the blob detector",
    "found_and_fooled": "insertion: found, and CAD fooled",
    "in_disc": "insertion: energy in one disc of 12.75 mm, median",
    "blobs": "insertion: pieces of the change, median",
    "peak": "insertion: largest change of a pixel, median",
    "identity_insert": "insertion: Eq. 7, median",
    "fresh_network_insert": "insertion: fresh detector's AUC, network",
    "fresh_network_train_insert": "the same on what it learned from",
    "fresh_spectrum_insert": "insertion: fresh detector's AUC, spectrum",
    "artefact_insert": "insertion: AUC of the most telling artefact",
    "critic_lived_insert": "insertion: share of adversarial epochs with a living critic",
    "critic_alive_insert": "insertion: critic alive at the end, share of seeds",
    "critic_sd_insert": "insertion: s.d. of the critic's logits at the end",
    "critic_gradient_insert": "insertion: norm of the critic's gradient at the end",
    "auc_adversarial": "AUC of adversarial mammograms, flipped labels",
}
"""The measures of an objective with their names in the table, in its order."""
CONTROLS: dict[str, str] = {
    "identity": "generator trained to change nothing",
    "contrast": "contrast x 0.8",
    "l2-1": "gradient descent on the CAD, L2 1.0",
    "l2-2": "gradient descent on the CAD, L2 2.0",
    "twin": "lesion-free twin",
}
OF_CONTROLS: dict[str, str] = {
    "fooled_remove": "CAD fooled",
    "energy_near_median": "energy near, median",
    "closer_db_median": "dB closer, median",
    "three_db": "at least 3 dB closer",
    "fresh_network_remove": "fresh network's AUC",
    "fresh_spectrum_remove": "fresh spectrum's AUC",
}
CADS = ("cad", "second cad")
OF_CADS = {"auc": "AUC", "sensitivity": "sensitivity at 0.5", "specificity": "specificity at 0.5"}
OF_DATA = {
    "positives": "positives of the unseen cohort",
    "negatives": "negatives of the unseen cohort",
    "area_near": "area within 1.5 lesion radii, median: what an even change scores",
    "real_lesions_found": "real lesions found by the blob detector",
}


@dataclass(frozen=True)
class Row:
    """One measured value of one seed."""

    settings: dict[str, str]
    """Settings of the cohorts and the trainings, by the CSV's columns."""
    seed: int
    objective: str
    """study, lesion, or another thing that was measured: cad, second cad, data, or a control."""
    measure: str
    value: float


def read_rows(folder: Path) -> list[Row]:
    """Read the rows of all seeds. If a seed has rows of its CADs alone and rows of everything, take the latter."""
    files = {path.stem.removeprefix("cad-"): path for path in sorted(folder.glob("cad-seed-*.json"))}
    files |= {path.stem: path for path in folder.glob("seed-*.json")}
    rows = [Row(**values) for path in files.values() for values in read_json(path)["rows"]]
    return sorted(rows, key=lambda row: row.seed)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows, after the rows that the file already has for other settings."""
    header = [*rows[0].settings, "seed", "objective", "measure", "value"]
    ours = [{**r.settings, **{name: str(getattr(r, name)) for name in header[-4:]}} for r in rows]
    kept = [line for line in _lines(path) if list(line) == header and not _of_settings(line, rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_atomically(path) as own, open(own, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, *ours])


def _lines(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _of_settings(line: dict[str, str], rows: Sequence[Row]) -> bool:
    return any(row.settings.items() <= line.items() for row in rows)


def table(rows: Sequence[Row]) -> str:
    """Return Markdown tables of objectives, controls and CADs; each value is a mean over seeds with its range."""
    objectives = [name for name in ("study", "lesion") if any(row.objective == name for row in rows)]
    head = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in rows[0].settings.items())
    lines = [f"{head}. Mean over seeds (lowest to highest; number of seeds).\n"]
    if objectives:
        lines += [*_block(rows, "measure", MEASURES, objectives), ""]
        lines += [*_of_controls(rows), ""]
    lines += [*_cads(rows), "", *_block(rows, "data", OF_DATA, ["data"])]
    return "\n".join(lines) + "\n"


def _block(rows: Sequence[Row], head: str, measures: dict[str, str], objectives: Sequence[str]) -> Iterator[str]:
    yield f"| {head} | {' | '.join(objectives)} |"
    yield "|---|" + "---|" * len(objectives)
    for name, label in measures.items():
        cells = [spread(values_of(rows, objective, name)) for objective in objectives]
        if any(cells):
            yield f"| {label} | {' | '.join(cells)} |"


def _of_controls(rows: Sequence[Row]) -> Iterator[str]:
    yield f"| control | {' | '.join(OF_CONTROLS.values())} |"
    yield "|---|" + "---|" * len(OF_CONTROLS)
    for name, label in CONTROLS.items():
        cells = [spread(values_of(rows, name, measure)) for measure in OF_CONTROLS]
        if any(cells):
            yield f"| {label} | {' | '.join(cells)} |"


def _cads(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a table that treats both CADs of all seeds as one group of trainings."""
    yield "| CAD on the unseen cohort | mean (lowest to highest; trainings) | farthest from the mean |"
    yield "|---|---|---|"
    for name, label in OF_CADS.items():
        if values := [value for cad in CADS for value in values_of(rows, cad, name)]:
            yield f"| {label} | {spread(values)} | {max(abs(v - fmean(values)) for v in values):.3f} |"


def values_of(rows: Sequence[Row], objective: str, measure: str) -> list[float]:
    """Return the values of one measure, one per seed."""
    return [row.value for row in rows if (row.objective, row.measure) == (objective, measure)]


def spread(values: Sequence[float]) -> str:
    """Return "mean (lowest to highest; n)"; empty without values."""
    if not values:
        return ""
    mean, low, high = (_short(value) for value in (fmean(values), min(values), max(values)))
    return f"{mean} ({low} to {high}; {len(values)})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}" if 0 < abs(value) < 0.01 else f"{value:.3f}"
