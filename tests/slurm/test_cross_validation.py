"""A cross-validation over a real SLURM: all studies at once, and a job that pools after their evaluations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT, checked, run_script

from mammogan.io.atomic import read_json
from slurm.trainings import logs, slurm, wait_for_end

pytestmark = pytest.mark.slurm


def test_a_fold_that_was_cancelled_is_submitted_again_alone_and_then_all_folds_are_pooled(
    phantom: Path, tmp_path: Path
) -> None:
    words = (
        *("launch/cross_validate.py", "--cohort", phantom / "labels.csv", "--workspace", tmp_path / "cv"),
        *("--folds", "2", "--seeds", "3", "--resolution", "96x96"),
        *("--config", ROOT / "slurm" / "devcluster" / "study.yaml"),
        *("--cluster", "slurm", "--cpu-ranks", "1", "--cpus-per-task", "1", "--time", "30"),
    )
    first = jobs_of(checked(*words))
    assert f"Dependency=afterok:{first['fold-1-seed-3-evaluate-test-report']}" in shown(first["pool"])
    assert first["fold-2-seed-3-evaluate-test-report"] in shown(first["pool"])
    slurm("scancel", first["fold-2-seed-3-gan-96x96-insert"])
    assert wait_for_end(first["fold-1-seed-3-evaluate-test-report"]) == "COMPLETED", logs(tmp_path)
    assert wait_for_end(first["fold-2-seed-3-gan-96x96-remove"]) == "COMPLETED", logs(tmp_path)
    assert wait_for_end(first["pool"]) == "CANCELLED"
    assert "1 of 2 studies done, not pooled yet" in run_script("launch/watch.py", "--workspace", tmp_path / "cv").stdout

    again = jobs_of(checked(*words))
    assert {*again} == {
        "fold-2-seed-3-gan-96x96-insert",
        "fold-2-seed-3-generate-96x96-index",
        "fold-2-seed-3-evaluate-test-report",
        "pool",
    }
    assert wait_for_end(again["pool"]) == "COMPLETED", logs(tmp_path)
    pooled = read_json(tmp_path / "cv" / "pooled" / "pooled.json")
    assert (pooled["folds"], pooled["seeds"]) == (2, ["3"])
    assert "2 of 2 studies done, pooled in" in checked("launch/watch.py", "--workspace", tmp_path / "cv")
    assert not jobs_of(checked(*words))


def jobs_of(told: str) -> dict[str, str]:
    """Return the number of each job that was submitted, by its name; arrays are not among them."""
    return {name: number for number, name in re.findall(r"^submitted job (\d+): (\S+) ", told, re.MULTILINE)}


def shown(job: str) -> str:
    return slurm("scontrol", "show", "job", job)
