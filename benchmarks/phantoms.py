"""Draws phantom mammograms at a detector's size, for benchmarks of conversion and loading."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DETECTOR = "3328x2560"


def draw_phantoms(folder: Path, patients: int) -> Path:
    """Draw ``patients`` patients at DETECTOR size, all in the training split; return the path of their table."""
    make = [sys.executable, str(ROOT / "shards" / "make_phantom.py"), "--out", str(folder), "--size", DETECTOR]
    subprocess.run([*make, "--patients", str(patients)], check=True, stdout=subprocess.DEVNULL)
    table = folder / "labels.csv"
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "split"])
        writer.writeheader()
        writer.writerows(row | {"split": "train"} for row in rows)
    return table
