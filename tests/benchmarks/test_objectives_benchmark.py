"""The comparison of both objectives: how rows of seeds become a CSV and a table."""

from __future__ import annotations

import csv
from pathlib import Path

import lesion_docs
import pytest
import readme_figures
from conftest import ROOT
from marked_figures import shown
from objective_measures import fooled
from objective_seed import _of_test_split
from objective_table import Row, read_rows, spread, table, write_csv

from mammogan.io.atomic import write_json
from mammogan.io.tables import read_own_csv
from mammogan.workspace import Direction

SETTINGS = {"size": "192x160", "patients": "600", "config": "demo.yaml"}


def row(seed: int, objective: str, measure: str, value: float, **settings: str) -> Row:
    return Row(SETTINGS | settings, seed, objective, measure, value)


ROWS = [
    row(1, "study", "fooled_remove", 0.5),
    row(2, "study", "fooled_remove", 1.0),
    row(1, "lesion", "fooled_remove", 1.0),
    row(1, "twin", "fooled_remove", 0.9),
    row(1, "cad", "auc", 0.9),
    row(1, "second cad", "auc", 0.94),
    row(2, "cad", "auc", 0.95),
]


def lines_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_table_has_the_mean_and_the_range_over_seeds_of_each_objective() -> None:
    text = table(ROWS)
    assert "| removal: CAD fooled, of its right calls | 0.750 (0.500 to 1.000; 2) | 1.000 (1.000 to 1.000; 1) |" in text
    assert "| lesion-free twin | 0.900 (0.900 to 0.900; 1) |" in text
    assert "insertion: CAD fooled" not in text, "a measure that no seed has needs no line"


def test_the_trainings_of_both_cads_are_one_group() -> None:
    assert "| AUC | 0.930 (0.900 to 0.950; 3) | 0.030 |" in table(ROWS)


def test_cads_alone_make_a_table_without_objectives() -> None:
    text = table([r for r in ROWS if "cad" in r.objective])
    assert "| AUC |" in text and "study" not in text


@pytest.mark.parametrize(
    ("values", "told"), [([], ""), ([0.004], "0.004 (0.004 to 0.004; 1)"), ([0.0, 300.0], "150 (0.000 to 300; 2)")]
)
def test_a_spread_is_short(values: list[float], told: str) -> None:
    assert spread(values) == told


def test_rows_of_other_settings_stay_in_the_csv_and_those_of_these_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "objectives.csv"
    other = row(1, "study", "fooled_remove", 0.1, size="384x320")
    write_csv(path, [other])
    write_csv(path, ROWS)
    write_csv(path, ROWS[:2])
    assert [(line["size"], line["seed"], line["value"]) for line in lines_of(path)] == [
        ("384x320", "1", "0.1"),
        ("192x160", "1", "0.5"),
        ("192x160", "2", "1.0"),
    ]


def test_a_completely_measured_seed_replaces_the_measurement_of_its_cads_alone(tmp_path: Path) -> None:
    for name, values in (("cad-seed-1", ROWS[4:5]), ("seed-1", ROWS[4:6]), ("cad-seed-2", ROWS[6:])):
        write_json(tmp_path / f"{name}.json", {"made_from": {}, "rows": [vars(r) for r in values]})
    assert read_rows(tmp_path) == ROWS[4:]


def test_fooled_is_a_share_of_those_that_were_called_correctly() -> None:
    before, after = {"a": 0.9, "b": 0.8, "c": 0.2}, {"a": 0.1, "b": 0.7, "c": 0.1}
    assert fooled(before, after, Direction.REMOVE) == 0.5
    assert fooled(before, {"c": 0.9}, Direction.INSERT) == 1.0
    assert fooled(before, {"c": 0.9}, Direction.REMOVE) is None


def test_the_unseen_cohort_keeps_all_positives_and_all_images_of_its_negative_patients(tmp_path: Path) -> None:
    labels = tmp_path / "phantoms" / "labels.csv"
    labels.parent.mkdir()
    patients = {"a": "negative", "b": "positive", "c": "negative", "d": "positive"}
    rows = [f"dicom/{patient}-{n}.dcm,{patient},{label}" for patient, label in patients.items() for n in "12"]
    labels.write_text("\n".join(["path,patient,label", *rows]), encoding="utf-8")
    kept = _of_test_split(labels, negatives=1)
    assert [r["patient"] for r in kept] == ["a", "a", "b", "b", "d", "d"]
    assert kept[0]["path"] == "phantoms/dicom/a-1.dcm" and {r["split"] for r in kept} == {"test"}


def test_readme_has_the_figures_of_the_committed_rows() -> None:
    rows = readme_figures.read(ROOT / "benchmarks" / "objectives.csv")
    on_page = shown(ROOT / "README.md", readme_figures.BEGIN)
    assert on_page == readme_figures.figures(rows).strip(), "run python benchmarks/readme_figures.py --write"


def test_the_page_of_the_lesion_objective_has_the_tables_of_the_committed_rows() -> None:
    page, folder = ROOT / "docs" / "lesion_objective.md", ROOT / "benchmarks"
    tables = {
        lesion_docs.ABLATION: lesion_docs.ablation(read_own_csv(folder / "lesion_ablation.csv")),
        lesion_docs.LADDER: lesion_docs.ladder(read_own_csv(folder / "objectives.csv")),
    }
    for begin, text in tables.items():
        assert shown(page, begin) == text, "run python benchmarks/lesion_docs.py --write"


def test_fainter_lesions_have_lines_of_their_own_from_the_strongest_down() -> None:
    def row(preset: str, conspicuity: str, seed: str, value: str) -> dict[str, str]:
        settings = {"preset": preset, "conspicuity": conspicuity, "seed": seed}
        return {**settings, "objective": "lesion", "measure": "fooled_remove", "value": value}

    rows = [row("demo", "0.25", "1", ".4"), row("demo", "1.0", "1", ".9"), row("demo", "1.0", "2", "1")]
    lines = lesion_docs.ladder([*rows, row("physical", "1.0", "1", ".1")]).splitlines()[2:]
    shown_lines = [line for line in lines if "| lesion |" in line]
    assert [line.split("|")[1].strip() for line in shown_lines] == [
        "masses, 12.5 times the contrast",
        "masses, 3.12 times the contrast",
        "masses and clusters of calcifications, 1 times the contrast",
    ]
    assert "95% (90% to 100%)" in shown_lines[0] and "| 2 |" in shown_lines[0]


def test_lesions_that_no_cad_learned_to_find_have_a_line_that_says_so() -> None:
    row = {"preset": "demo", "conspicuity": "0.25", "seed": "1", "objective": "cad", "measure": "auc", "value": ".55"}
    (line,) = lesion_docs.ladder([row]).splitlines()[2:]
    assert "| 0.55, - | none: this CAD reads hardly better than chance | - |" in line
