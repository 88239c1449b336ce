"""mammogan watch shows the pooling of a cross-validation as it shows other stages: its error, its log, its job."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from clusters import leave_clusters, programs, squeue_rows

from mammogan.cli.watch import Options, execute
from mammogan.cluster.slurm.outcome import outcome_file
from mammogan.crossvalidation.fold_study import pooled_table
from mammogan.io.records import write_record
from mammogan.watch.stage_status import ACTIVE_SECONDS

SAID = "error: fold-1-seed-0: patient 7 is in two folds"


@pytest.fixture
def folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a cross-validation of which nothing has begun."""
    leave_clusters(monkeypatch)
    for seed in (0, 1):
        (tmp_path / f"fold-1-seed-{seed}").mkdir()
    (tmp_path / "study").mkdir()
    return tmp_path


def shown(folds: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = execute(Options(folds))
    return code, capsys.readouterr().out


def pooling(folds: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    execute(Options(folds, json=True))
    found: dict[str, object] = json.loads(capsys.readouterr().out)["pooling"]
    return found


def made_before(path: Path) -> None:
    long_ago = path.stat().st_mtime - 2 * ACTIVE_SECONDS
    os.utime(path, (long_ago, long_ago))
    os.utime(path.parent, (long_ago, long_ago))


@pytest.mark.parametrize("was_pooled", [False, True])
def test_a_pooling_that_failed_on_this_machine_is_shown_with_error_and_log(
    was_pooled: bool, folds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if was_pooled:
        pooled_table(folds).parent.mkdir()
        pooled_table(folds).write_text("| an earlier table |")
        made_before(pooled_table(folds))
    log = folds / "study/pool.log"
    log.write_text(f"pooling\n{SAID}\n")
    code, text = shown(folds, capsys)
    assert code == 1
    assert f"pool failed: {SAID}\n  log     {log}" in text
    found = pooling(folds, capsys)
    assert (found["state"], found["error"], found["log"]) == ("failed", SAID, str(log))


def submitted(folds: Path) -> Path:
    """As if job 7 pooled the folds."""
    folder = folds / "study/pool"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_record(folder / "launch.json", {"job_ids": ["7"], "arrays": {}, "submitted": now})
    (folder / "submit/7").mkdir(parents=True)
    return folder


def test_a_pooling_whose_job_failed_is_shown_with_error_and_log(
    folds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = submitted(folds) / "submit/7"
    (files / "7_0_log.out").write_text(f"{SAID}\n")
    write_record(outcome_file(files, "7"), {"outcome": "error"})
    programs(folds / "bin", monkeypatch, squeue="exit 0", sacct="exit 1")
    code, text = shown(folds, capsys)
    assert code == 1 and f"{SAID}\n  log     {files / '7_0_log.out'}" in text


def test_a_pooling_that_waits_has_a_line_of_its_own(
    folds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted(folds)
    row = squeue_rows("7      PENDING Dependency 0 mammogan-pool (null)")
    (folds / "row").write_text(row)
    programs(folds / "bin", monkeypatch, squeue=f"/bin/cat {folds}/row", sacct="exit 1")
    code, text = shown(folds, capsys)
    assert code == 0 and "pool" in text and "PENDING (Dependency)" in text


def test_a_pooling_that_is_done_or_to_do_stands_in_the_title_alone(
    folds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = shown(folds, capsys)
    assert code == 0 and "not pooled yet" in text and "\npool" not in text
    assert pooling(folds, capsys)["state"] == "to do"
    pooled_table(folds).parent.mkdir()
    pooled_table(folds).write_text("| a table |")
    (folds / "study/pool.log").write_text("written to pooled\n")
    code, text = shown(folds, capsys)
    assert code == 0 and "pooled in" in text and "\npool" not in text
    assert pooling(folds, capsys)["state"] == "done"
