"""DICOM in, Table 1 out: the study's one command on a tiny cohort, at two resolutions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import checked, run_script

SETTINGS = """
shards: {jobs: 1}
cad:
  width: 0.05
  vgg-weights: none
  pairs: 2
  epochs: 1
  epoch-batches: 4
  compute.loader-workers: 0
gan:
  width: 0.05
  epoch-batches: 2
  gnet-every: 1
  lr-gnet: 1.0e-3
  epochs: [1, 1, 0, 1, 1]
  allow-weak-cad: true
  compute.loader-workers: 0
evaluate: {bootstrap: 100}
"""


@pytest.fixture(scope="module")
def line(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path, str]:
    """The command, its workspace, and what it printed."""
    folder = tmp_path_factory.mktemp("line")
    (folder / "study.yaml").write_text(SETTINGS)
    words = ["launch/study.py", "--cohort", phantom / "labels.csv", "--workspace", folder / "work"]
    words += ["--resolution", "128x96", "96x96", "--config", folder / "study.yaml", "--cluster", "none"]
    command = [str(w) for w in words]
    return command, folder / "work", checked(*command)


def test_every_stage_leaves_its_result(line: tuple[list[str], Path, str]) -> None:
    work = line[1]
    for size in ("128x96", "96x96"):
        assert (work / "shards" / size / "index.json").is_file()
        assert (work / f"runs/cad-{size}/done.json").is_file()
        for direction in ("remove", "insert"):
            assert (work / f"runs/gan-{size}-{direction}/done.json").is_file()
        assert (work / "adversarial" / size / "index.json").is_file()
    assert (work / "report/done.json").is_file()


def test_the_report_holds_both_resolutions_and_every_figure_of_table_1(line: tuple[list[str], Path, str]) -> None:
    report = line[1] / "report"
    table = json.loads((report / "table1.json").read_text())
    text = (report / "table1.md").read_text()
    assert "128x96" in text and "96x96" in text
    for word in ("AUC", "positive", "negative"):
        assert word in text
    assert (report / "index.html").is_file() and (report / "predictions.csv").is_file()
    assert "NaN" not in json.dumps(table)


def test_finished_stages_do_not_run_again(line: tuple[list[str], Path, str]) -> None:
    command, work, _ = line
    before = {p: p.stat().st_mtime_ns for p in work.rglob("*") if p.is_file()}
    assert "done before" in checked(*command)
    assert {p: p.stat().st_mtime_ns for p in work.rglob("*") if p.is_file()} == before


def test_a_report_made_manually_with_another_threshold_is_not_taken_for_the_studys(
    line: tuple[list[str], Path, str],
) -> None:
    command, work, _ = line
    table = work / "report/table1.json"
    before = json.loads(table.read_text())
    checked("launch/evaluate.py", "--workspace", work, "--threshold", "0.4", "--bootstrap", "100", "--cluster", "none")
    assert json.loads(table.read_text()) != before
    told = checked(*command)
    assert told.count("done before") == 9
    assert re.search(r"evaluate-test +to run: requested with other options: --threshold 0.5 in place of 0.4", told)
    assert json.loads(table.read_text()) == before and "to run" not in checked(*command)


def test_a_removed_result_is_made_again_and_nothing_else(line: tuple[list[str], Path, str]) -> None:
    command, work, _ = line
    table = (work / "report/table1.json").read_bytes()
    for path in (work / "report").rglob("*"):
        if path.is_file():
            path.unlink()
    trained = (work / "runs/cad-96x96/checkpoints/newest.pt").stat().st_mtime_ns
    checked(*command)
    assert json.loads((work / "report/table1.json").read_text()).keys() == json.loads(table).keys()
    assert (work / "runs/cad-96x96/checkpoints/newest.pt").stat().st_mtime_ns == trained


@pytest.mark.parametrize("name", ["report/predictions.csv", "shards/96x96/test-negative-000000.tar", "cohort.csv"])
def test_any_file_of_a_stage_that_is_gone_is_made_again(line: tuple[list[str], Path, str], name: str) -> None:
    command, work, _ = line
    before = (work / name).read_bytes()
    (work / name).unlink()
    told = checked(*command)
    assert (work / name).read_bytes() == before and "to run: " in told
    assert "to run" not in checked(*command)


def test_check_shards_finds_nothing_to_complain_about(line: tuple[list[str], Path, str]) -> None:
    assert run_script("shards/check_shards.py", "--workspace", line[1]).returncode == 0
