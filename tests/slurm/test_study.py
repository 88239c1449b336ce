"""The whole study over a real SLURM, each stage after those it needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, run_script

from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace
from slurm.trainings import logs, slurm, wait_for, wait_for_end

pytestmark = pytest.mark.slurm


def test_the_study_goes_from_dicoms_to_table_1_past_a_requeued_stage_and_once_done_submits_nothing(
    phantom: Path, tmp_path: Path
) -> None:
    words = (
        *("launch/study.py", "--cohort", phantom / "labels.csv", "--workspace", tmp_path / "work"),
        *("--resolution", "96x96", "--config", ROOT / "slurm" / "devcluster" / "study.yaml"),
        *("--cluster", "slurm", "--cpu-ranks", "1", "--cpus-per-task", "1", "--time", "30"),
    )
    first = run_script(*words)
    assert first.returncode == 0, first.stdout + first.stderr
    submitted = [line for line in first.stdout.splitlines() if line.startswith("submitted job ")]
    ids = {line.split(": ")[1].split(" ")[0]: line.split(" ")[2].rstrip(":") for line in submitted}
    [array] = re.findall(r"submitted 2 tasks of generate-96x96 as job (\d+);", first.stdout)
    [scoring] = re.findall(r"submitted 2 tasks of evaluate-test as job (\d+);", first.stdout)
    assert len(ids) == 6
    remove, insert = ids["gan-96x96-remove"], ids["gan-96x96-insert"]
    listed = re.sub(" +job", "  job", first.stdout)
    assert f"generate-96x96  job {array} (2 tasks), then {ids['generate-96x96-index']}" in listed
    waits = {line.split(": ")[1].split(" ")[0]: line.partition("after ")[2] for line in submitted}
    assert waits == {
        "shards": "",
        "cad-96x96": f"afterok:{ids['shards']}",
        "gan-96x96-remove": f"afterok:{ids['cad-96x96']}",
        "gan-96x96-insert": f"afterok:{ids['cad-96x96']}",
        "generate-96x96-index": f"afterok:{array}",
        "evaluate-test-report": f"afterok:{scoring}",
    }
    assert f"evaluate-test  job {scoring} (2 tasks), then {ids['evaluate-test-report']}" in listed
    assert f"Dependency=afterok:{remove}" in slurm("scontrol", "show", "job", f"{array}_0")
    assert f"Dependency=afterok:{ids['generate-96x96-index']}" in slurm("scontrol", "show", "job", f"{scoring}_0")
    slurm("scancel", scoring)
    again = run_script(*words)
    assert again.returncode == 0, again.stdout + again.stderr
    told = dict(re.findall(r"^ *(\S+) +(job .*)$", again.stdout, re.MULTILINE))
    active_jobs = {
        **{name: ids[name] for name in ("shards", "cad-96x96", "gan-96x96-remove", "gan-96x96-insert")},
        "generate-96x96": f"{array}, {ids['generate-96x96-index']}",
    }
    for name, numbers in active_jobs.items():
        assert name not in told or re.fullmatch(f"job {numbers}, (queued|running)", told[name]), again.stdout
    [second] = re.findall(r"submitted 2 tasks of evaluate-test as job (\d+);", again.stdout)
    assert again.stdout.count("submitted job ") == 1, "the report"
    assert f"Dependency=afterok:{ids['generate-96x96-index']}" in slurm("scontrol", "show", "job", f"{second}_0")
    [report] = re.findall(r"submitted job (\d+): evaluate-test-report", again.stdout)
    requeued = Run(Workspace(tmp_path / "work").gan_run(SMALL, Direction.INSERT))
    wait_for(requeued.newest.is_file, "a checkpoint of the generator that inserts", 300)
    slurm("scancel", "--signal=USR2", insert)
    assert wait_for_end(report) == "COMPLETED", logs(tmp_path)
    assert f"SLURM job {insert}, restarts: 1" in logs(requeued.path)
    assert "positives called positive" in (tmp_path / "work" / "report" / "table1.md").read_text()
    again = run_script(*words)
    assert again.returncode == 0 and "submitted" not in again.stdout, again.stdout
