"""The benchmark of adversarial training: its table, and that the page shows the committed rows."""

from __future__ import annotations

import robustness
from conftest import ROOT
from marked_figures import shown

from mammogan.io.tables import read_own_csv


def row(training: str, seed: str, attack: str, auc: str, remove: str) -> dict[str, str]:
    return dict(zip(robustness.COLUMNS, (training, "64", seed, attack, auc, remove, ""), strict=True))


def test_both_trainings_stand_side_by_side_with_their_range_over_the_seeds() -> None:
    rows = [row("plain", "1", "fgsm 64", ".5", ".4"), row("plain", "2", "fgsm 64", ".7", ".2")]
    *_, line = robustness.table([*rows, row("hardened", "1", "fgsm 64", ".9", "0.0")]).splitlines()
    assert line == "| fgsm 64 | 2 | 0.60 (0.50 to 0.70) | 30% (20% to 40%) | 0.90 | 0% |"


def test_the_page_has_the_table_of_the_committed_rows() -> None:
    text = robustness.table(read_own_csv(ROOT / "benchmarks" / "robustness.csv"))
    assert shown(ROOT / "docs" / "evaluation.md", robustness.BEGIN) == text, (
        "run python benchmarks/robustness.py --table-only --write"
    )
