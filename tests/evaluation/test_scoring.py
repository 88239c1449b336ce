"""Scores of shards: nothing is scored twice, whatever decides a score is noticed, and the report waits for all."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
from conftest import SMALL, run_script
from edited import edit_record
from generators import save_all, save_cad, save_gnet
from in_place_of_a_file import IN_PLACE, put_in_place

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.errors import UserError
from mammogan.evaluation.evaluate import evaluate, report
from mammogan.evaluation.phantom_record import PhantomRecord
from mammogan.evaluation.phantom_truth import phantom_truth
from mammogan.evaluation.score_plan import plan
from mammogan.evaluation.scoring import score_shard, scored
from mammogan.io.atomic import write_json
from mammogan.io.options import parse
from mammogan.io.records import write_record
from mammogan.study.commands import StudyCommand
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

CONFIG = EvaluateConfig(bootstrap=100, examples=1, device="cpu")
SHARDS = 3


@pytest.fixture(scope="module")
def altered(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Untrained networks, and more than one shard of a class."""
    workspace = Workspace(tmp_path_factory.mktemp("altered") / "work")
    convert_cohort(phantom / "labels.csv", workspace, [SMALL], jobs=1, shard_images=4)
    save_all(workspace, SMALL)
    generate(workspace, GenerateConfig(device="cpu"))
    assert len(plan(workspace, SMALL, CONFIG)) == SHARDS
    return workspace


@pytest.fixture
def ready(altered: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(altered.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def scores(workspace: Workspace) -> dict[str, tuple[int, bytes]]:
    """Time of writing and content of every file of scores."""
    files = (workspace.scores("test") / str(SMALL)).glob("*.json")
    return {path.stem: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def written_anew(workspace: Workspace, before: dict[str, tuple[int, bytes]]) -> set[str]:
    return {name for name, found in scores(workspace).items() if before.get(name) != found}


def test_a_second_evaluation_scores_nothing(ready: Workspace) -> None:
    evaluate(ready, CONFIG)
    before = scores(ready)
    assert len(before) == SHARDS
    evaluate(ready, CONFIG)
    assert not written_anew(ready, before)


def test_scores_read_from_disk_are_the_very_ones_that_were_measured(ready: Workspace) -> None:
    from mammogan.evaluation.phantom_truth import PhantomTruth
    from mammogan.evaluation.scores import score_pair
    from mammogan.training.run.trained_networks import load_cad

    tasks = plan(ready, SMALL, CONFIG)
    for task in tasks:
        score_shard(task)
    cad, truth = load_cad(ready.cad_run(SMALL)), PhantomTruth(ready.cohort)
    measured = [s for task in tasks for s in score_pair(task.shards, cad, truth, str(SMALL), CONFIG.batch)]
    assert scored(tasks) == measured and any(s.change and s.change.removal for s in measured)


def test_another_cad_scores_all_again(ready: Workspace) -> None:
    evaluate(ready, CONFIG)
    before = scores(ready)
    save_cad(ready, SMALL, seed=1)
    assert {task.outdated() for task in plan(ready, SMALL, CONFIG)} == {"the CAD changed"}
    evaluate(ready, CONFIG)
    assert written_anew(ready, before) == before.keys()


def test_another_generator_has_only_its_own_mammograms_scored_again(ready: Workspace) -> None:
    evaluate(ready, CONFIG)
    before = scores(ready)
    save_gnet(ready, SMALL, Direction.REMOVE, seed=1)
    generate(ready, GenerateConfig(device="cpu"))
    evaluate(ready, CONFIG)
    assert written_anew(ready, before) == {name for name in before if "positive" in name}


def test_a_changed_record_of_phantom_lesions_is_compared_again(ready: Workspace, phantom: Path, tmp_path: Path) -> None:
    table = ready.cohort.read_text(encoding="utf-8")
    assert str(phantom) in table
    shutil.copytree(phantom, tmp_path / "phantom")
    ready.cohort.write_text(table.replace(str(phantom), str(tmp_path / "phantom")), encoding="utf-8")
    evaluate(ready, CONFIG)
    assert {task.outdated() for task in plan(ready, SMALL, CONFIG)} == {""}
    edit_record(tmp_path / "phantom" / "truth.json", lambda truth: truth.update(note="drawn anew"))
    reasons = {task.outdated() for task in plan(ready, SMALL, CONFIG)}
    assert reasons == {"the phantoms' record of their lesions changed"}


@pytest.mark.parametrize("what", ["a folder", "a link to nothing", "a link to itself"])
@pytest.mark.parametrize(
    "record",
    [
        f"runs/cad-{SMALL}/done.json",
        f"runs/cad-{SMALL}/checkpoints/best.pt",
        f"shards/{SMALL}/index.json",
        f"adversarial/{SMALL}/index.json",
        f"scores/test/{SMALL}/test-positive-000000.json",
        "report/done.json",
    ],
)
def test_what_stands_in_the_place_of_a_record_is_never_taken_for_work_to_be_done(
    ready: Workspace, record: str, what: str
) -> None:
    Run(ready.cad_run(SMALL)).finish({})
    write_record(ready.root / record, {})
    put_in_place(ready.root / record, what)
    with pytest.raises(UserError, match=f"{record}.*{IN_PLACE[what]}"):
        evaluate(ready, CONFIG)


def test_a_record_of_something_else_in_the_place_of_the_cads_done_json_is_refused(ready: Workspace) -> None:
    write_record(Run(ready.cad_run(SMALL)).done, {"resolutions": [str(SMALL)], "columns": []})
    with pytest.raises(UserError, match=r"done.json is damaged: it is another record than that of a finished train"):
        evaluate(ready, CONFIG)


def test_the_report_waits_for_all_shards(ready: Workspace) -> None:
    first, *_ = plan(ready, SMALL, CONFIG)
    score_shard(first)
    with pytest.raises(UserError, match=r"not all mammograms are scored: test-negative-\d+.tar \(not scored yet\)"):
        report(ready, CONFIG)
    assert not (ready.report / "done.json").exists()


@pytest.mark.parametrize("words", [(), ("--share", "1/1")])
def test_a_report_on_an_earlier_cad_passes_for_none_once_scoring_by_the_next_has_failed(
    ready: Workspace, words: tuple[str, ...]
) -> None:
    evaluate(ready, CONFIG)
    save_cad(ready, SMALL, seed=1)
    for shard in ready.shards(SMALL).glob("test-*.tar"):
        shard.write_bytes(shard.read_bytes()[:1024])
    front = ("launch/evaluate.py", "--workspace", ready.root, "--device", "cpu", "--cluster")
    assert run_script(*front, "slurm", "--dry-run").returncode == 0 and (ready.report / "done.json").is_file()
    failed = run_script(*front, "none", *words)
    assert failed.returncode == 2 and not (ready.report / "done.json").exists(), failed.stderr
    assert (ready.report / "index.html").is_file()


def test_scores_of_a_shard_that_is_gone_are_removed(ready: Workspace) -> None:
    evaluate(ready, CONFIG)
    left_over = ready.scores("test") / str(SMALL) / "test-positive-000009.json"
    write_json(left_over, {})
    evaluate(ready, CONFIG)
    assert not left_over.exists() and len(scores(ready)) == SHARDS


def test_a_cad_that_changes_between_plan_and_work_is_refused(ready: Workspace) -> None:
    [first, *_] = plan(ready, SMALL, CONFIG)
    save_cad(ready, SMALL, seed=2)
    with pytest.raises(UserError, match=r"best.pt has changed since this was planned"):
        score_shard(first)
    assert not scores(ready)


def test_shares_score_all_between_them_and_the_same_command_writes_the_report(ready: Workspace) -> None:
    words = ("launch/evaluate.py", "--workspace", ready.root, "--cluster", "none", "--device", "cpu")
    made = []
    for share in ("1/2", "2/2"):
        done = run_script(*words, "--share", share)
        assert done.returncode == 0 and not ready.report.exists(), done.stderr
        made.append(len(scores(ready)))
    assert made == [2, 3]
    before = scores(ready)
    last = run_script(*words)
    assert last.returncode == 0 and f"{SHARDS} of {SHARDS} shards are scored" in last.stdout, last.stderr
    assert (ready.report / "done.json").is_file() and not written_anew(ready, before)


def test_a_share_reads_each_index_and_the_table_once_and_plans_no_shard_of_another(
    ready: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, read, read_text = StudyCommand.load("evaluate"), Counter[Path](), Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **how: read.update([path]) or read_text(path, **how))
    asked = []
    monkeypatch.setattr(PhantomRecord, "sha256_of", lambda truth, keys: asked.append(list(keys)) or [])
    ready = Workspace(shutil.copytree(ready.root, ready.root.with_name("copy")))  # nothing of it is remembered
    words = ["--workspace", str(ready.root), "--cluster", "none", "--device", "cpu", "--share", "2/3"]
    _, _, tasks = sys.modules[door.options.__module__].plans(parse(door.options, words))
    assert len(tasks) == len(asked) == 1
    folders = (ready.shards(SMALL), ready.adversarial(SMALL))
    assert [read[folder / "index.json"] for folder in folders] == [1, 1]
    assert phantom_truth(ready.cohort) is phantom_truth(ready.cohort)


def test_two_processes_of_this_machine_score_as_one_does(ready: Workspace) -> None:
    words = ("launch/evaluate.py", "--workspace", ready.root, "--bootstrap", "100", "--device", "cpu", "--cluster")
    assert run_script(*words, "local", "--cpu-ranks", "2").returncode == 0
    together = (ready.report / "predictions.csv").read_bytes()
    shutil.rmtree(ready.scores("test"))
    assert run_script(*words, "none").returncode == 0
    assert (ready.report / "predictions.csv").read_bytes() == together


def test_a_dry_run_shows_an_array_of_one_task_a_shard_and_the_report_after_it(ready: Workspace) -> None:
    result = run_script("launch/evaluate.py", "--workspace", ready.root, "--cluster", "slurm", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert f"#SBATCH --array=0-{SHARDS - 1}%" in result.stdout
    assert "--job-name=mammogan-evaluate-report" in result.stdout and "afterok:JOB-evaluate" in result.stdout
    assert not scores(ready) and not ready.report.exists()
