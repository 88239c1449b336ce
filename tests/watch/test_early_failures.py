"""What failed before there was anything to train, and what is damaged, is shown and not passed over."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from clusters import leave_clusters, programs
from conftest import SMALL, run_script
from dicoms import write_cohort
from watching import begun_workspace, look, stage

from mammogan.cluster.slurm.outcome import outcome_file
from mammogan.crossvalidation.fold_study import study_folder
from mammogan.errors import UserError
from mammogan.io.records import write_record
from mammogan.study.given_cad import record_given_cad
from mammogan.watch.table import plain
from mammogan.watch.watch import document
from mammogan.workspace import Direction, Workspace

CANNOT_BE = "shards: {max-failures: many}\n"
"""A setting that make-shards refuses before it has made anything."""


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


@pytest.fixture
def begun(tmp_path: Path) -> Workspace:
    """A workspace with shards, and a generator's run of which nothing can be read yet."""
    return begun_workspace(tmp_path / "work")


def test_a_study_that_failed_in_make_shards_is_shown_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(CANNOT_BE)
    words = ("--cohort", write_cohort(tmp_path / "cohort"), "--workspace", tmp_path / "work", "--resolution", SMALL)
    failed = run_script("launch/study.py", *map(str, words), "--cluster", "none", "--config", tmp_path / "study.yaml")
    assert failed.returncode == 1
    shown = run_script("launch/watch.py", "--workspace", tmp_path / "work")
    assert shown.returncode == 1 and re.search(r"^shards +failed", shown.stdout, re.MULTILINE), shown.stderr
    assert re.search(r"^shards failed: error: --max-failures many: ", shown.stdout, re.MULTILINE)
    assert f"log     {tmp_path}/work/study/shards.log" in shown.stdout


def test_a_fold_that_failed_in_make_shards_has_a_line_among_the_studies(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(CANNOT_BE)
    table, root = write_cohort(tmp_path / "cohort", patients=12), tmp_path / "cv"
    words = ("--cohort", table, "--workspace", root, "--resolution", str(SMALL), "--folds", "2", "--cluster", "none")
    assert run_script("launch/cross_validate.py", *words, "--config", tmp_path / "study.yaml").returncode == 1
    shown = run_script("launch/watch.py", "--workspace", root)
    assert shown.returncode == 1 and re.search(
        r"^fold-1-seed-0 +0 of 1 done +shards failed", shown.stdout, re.MULTILINE
    )
    assert f"see  mammogan watch --workspace {root}/fold-1-seed-0" in shown.stdout
    told = json.loads(run_script("launch/watch.py", "--workspace", root, "--json").stdout)
    assert [one["state"] for one in told["studies"][0]["stages"]] == ["failed"]


def test_so_has_one_whose_job_failed_on_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path / "bin", monkeypatch, squeue="exit 0", sacct="exit 1")
    workspace = Workspace(study_folder(tmp_path / "cv", 1, 0))
    record = workspace.root / "study" / "shards"
    log = record / "submit" / "7" / "7_0_log.out"
    log.parent.mkdir(parents=True)
    log.write_text("error: no file of the table could be used\n")
    write_record(outcome_file(log.parent, "7"), {"outcome": "error"})
    write_record(record / "launch.json", {"job_ids": ["7"], "submitted": "2026-01-01T00:00:00+00:00"})
    found = stage(workspace, "shards")
    assert found.state == "failed" and found.error == "error: no file of the table could be used"
    assert [one["resolution"] for one in document(look(workspace))["stages"]] == [None]


def test_a_workspace_in_which_nothing_has_begun_is_none_still(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    with pytest.raises(UserError, match="is no workspace"):
        look(Workspace(tmp_path))


@pytest.mark.parametrize("text", ["", '{"cad": ', '{"cad": 3}', "[]"])
def test_a_damaged_record_of_the_cad_from_outside_is_said_and_not_shown_as_no_cad(begun: Workspace, text: str) -> None:
    name, record = f"cad-{SMALL}", begun.root / "study" / "given-cad.json"
    record_given_cad(begun, "their/run")
    assert stage(begun, name).message == "given: their/run"
    record.write_text(text)
    found, view = stage(begun, name), look(begun)
    assert found.state == "failed" and f"{record} is damaged: " in found.error and view.exit_code == 1
    assert f"{name} FAILED: {record} is damaged: " in plain(view) and "same mammogan study command" in plain(view)
    record_given_cad(begun, "their/run")
    assert stage(begun, name).state == "done"


def test_damaged_settings_of_a_training_and_a_damaged_record_of_jobs_are_said_too(begun: Workspace) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    for name, text in (("launch.json", '{"job_ids":'), ("config.yaml", "config: [")):
        (run / name).write_text(text)
        assert f"{run / name} is damaged: " in stage(begun, run.name).error
        (run / name).unlink()
    assert stage(begun, run.name).error == ""
