"""Altering and scoring in a study on SLURM: arrays of shares before it is known what is missing, then of that alone."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from clusters import leave_clusters, prints, programs, squeue_rows
from conftest import SMALL, run_script
from dicoms import write_cohort
from generators import save_all, save_cad, save_gnet
from test_study_pipeline import line

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import finish, generate_shard, plan
from mammogan.cluster.job import Array
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.slurm.submit import array_scripts
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.conversion.plan import planned
from mammogan.evaluation.evaluate import evaluate
from mammogan.evaluation.score_plan import plan as plan_scores
from mammogan.evaluation.scoring import score_shard
from mammogan.io.atomic import write_json
from mammogan.study.shares import share_commands
from mammogan.study.stage import done_before, plan_state
from mammogan.study.stage_jobs import work_of
from mammogan.workspace import Direction, Workspace

ALTER = GenerateConfig(device="cpu")
CPU = {"cpu_ranks": 1}


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


@pytest.fixture(scope="module")
def trained_once(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Five shards to alter, untrained networks that say that they are trained, and three shards altered."""
    workspace = Workspace(tmp_path_factory.mktemp("trained") / "work")
    convert_cohort(phantom / "labels.csv", workspace, [SMALL], jobs=1, shard_images=2)
    save_all(workspace, SMALL)
    for run in (workspace.cad_run(SMALL), *(workspace.gan_run(SMALL, direction) for direction in Direction)):
        write_json(run / "done.json", {"epochs": 1})
    for task in plan(workspace, SMALL, ALTER)[:3]:
        generate_shard(task)
    return workspace


@pytest.fixture
def trained(trained_once: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(trained_once.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def works(workspace: Workspace) -> dict[str, object]:
    """What is submitted for each stage that is not done."""
    stages = line(workspace, "slurm", cohort=None, **CPU).stages()
    done = done_before(stages)
    return {s.name: work_of(stages, workspace, s, done)[0] for s in stages if s.name not in done}


def made_by(work: object) -> list[str]:
    assert isinstance(work, Array)
    return list(work.makes)


def test_only_shards_that_are_not_up_to_date_are_submitted_once_all_that_they_need_is_done(trained: Workspace) -> None:
    shards = [task.name for task in plan(trained, SMALL, ALTER)]
    shown = run_script("launch/study.py", "--workspace", trained.root, "--dry-run", "--cpu-ranks", "1")
    assert shown.returncode == 0, shown.stderr
    arrays = re.findall(r"--array=0-(\d+)%.*\n(?:#SBATCH .*\n)*?#SBATCH --job-name=mammogan-(\S+)", shown.stdout)
    assert arrays == [("1", f"generate-{SMALL}"), (str(len(shards) - 1), "evaluate-test")]
    found = works(trained)
    assert made_by(found[f"generate-{SMALL}"]) == shards[3:]
    real = [name.replace("remove", "positive").replace("insert", "negative") for name in shards]
    assert sorted(made_by(found["evaluate-test"])) == sorted(f"{SMALL}/{name}" for name in real)


def test_a_resolution_that_is_added_leaves_what_is_done_of_another(trained: Workspace, phantom: Path) -> None:
    config = trained.root / "study.yaml"
    config.write_text("shards: {shard-images: 2}\n")
    words = ("launch/study.py", "--workspace", trained.root, "--cohort", phantom / "labels.csv", "--dry-run")
    shown = run_script(*words, "--config", config, "--resolution", "128x96", str(SMALL), "--cpu-ranks", "1")
    assert shown.returncode == 0, shown.stderr
    names = set(re.findall(r"--job-name=mammogan-(\S+)", shown.stdout))
    assert not {name for name in names if name.startswith((f"cad-{SMALL}", f"gan-{SMALL}"))}
    assert {"shards", "cad-128x96", "generate-128x96", f"generate-{SMALL}", "evaluate-test"} <= names


def test_tasks_planned_before_that_are_named_by_the_shards_that_they_will_make(trained: Workspace) -> None:
    (trained.gan_run(SMALL, Direction.REMOVE) / "done.json").unlink()
    assert made_by(works(trained)[f"generate-{SMALL}"]) == [task.name for task in plan(trained, SMALL, ALTER)]


def test_of_scores_too_only_what_is_missing_is_submitted_and_no_array_when_nothing_is(trained: Workspace) -> None:
    tasks = plan(trained, SMALL, ALTER)
    for task in tasks[3:]:
        generate_shard(task)
    assert not isinstance(works(trained)[f"generate-{SMALL}"], Array), "the index alone is missing"
    finish(tasks)
    scores = plan_scores(trained, SMALL, EvaluateConfig(device="cpu"))
    for score in scores[:-1]:
        score_shard(score)
    assert {name: made_by(work) for name, work in works(trained).items()} == {
        "evaluate-test": [f"{SMALL}/{scores[-1].name}"]
    }


def test_a_share_continues_after_a_failed_shard_and_names_all_that_failed(trained: Workspace) -> None:
    damaged = plan(trained, SMALL, ALTER)[3:]
    for task in plan(trained, SMALL, ALTER)[:3]:
        trained.adversarial(SMALL).joinpath(task.name).unlink()
    for task in damaged:
        whole = trained.shards(SMALL) / task.source
        whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    words = ("launch/generate.py", "--workspace", trained.root, "--cluster", "none", "--device", "cpu")
    ended = run_script(*words, "--share", "1/1")
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    told = re.escape(f"error: 2 of 5 shards failed: {SMALL}/{damaged[0].name} (")
    assert re.search(rf"{told}.*damaged.*; {SMALL}/{damaged[1].name} \(", ended.stderr), ended.stderr
    made = {path.name for path in trained.adversarial(SMALL).glob("*.tar")}
    assert made == {task.name for task in plan(trained, SMALL, ALTER)} - {task.name for task in damaged}


def test_an_array_has_a_task_for_each_shard_however_long_slurm_lets_it_be(tmp_path: Path) -> None:
    workspace, options = Workspace(tmp_path / "work"), {"sections": {"shards": {"shard-images": "2"}}}
    stages = line(workspace, "slurm", cohort=write_cohort(tmp_path / "cohort", patients=60), **options).stages()
    [generate] = [s for s in stages if s.name.startswith("generate-")]
    many = replace(generate, shards=tuple(f"share {n} of 2500" for n in range(1, 2501)))
    work, _ = work_of(stages, workspace, many, set())
    assert isinstance(work, Array) and len(work.tasks) == 2500
    assert [script.count("#SBATCH --array") for script in array_scripts(work, ClusterConfig())] == [1, 1, 1, 0]


def test_on_slurm_generation_and_scoring_are_arrays_of_one_task_a_shard_counted_before_there_are_shards(
    tmp_path: Path,
) -> None:
    table = write_cohort(tmp_path / "cohort", patients=60)
    expected = planned(table, Workspace(tmp_path / "work"), 0, 2)
    wanted = sum(name.startswith(("test-positive", "test-negative")) for name in expected)
    sections = {"shards": {"shard-images": "2"}}
    options = {"sections": sections, "cohort": table}
    stages = {s.name: s for s in line(Workspace(tmp_path / "work"), "slurm", **options).stages()}
    generate = stages["generate-96x96"]
    assert len(generate.shards) == len(stages["evaluate-test"].shards) == wanted > 2
    assert generate.shards[0] == f"share 1 of {wanted}", "none has a name before it is there"
    tasks = share_commands(generate.command, wanted)
    assert tasks[0].words == (*generate.command, "--share", f"1/{wanted}") and len(tasks) == wanted
    only = {"generate": {"direction": "remove", "split": "validation"}}
    less = line(Workspace(tmp_path / "work"), "slurm", sections=sections | only, cohort=table).stages()
    positives, all_of_split = (sum(n.startswith(f"validation-{of}") for n in expected) for of in ("positive", ""))
    shares = {s.name: len(s.shards) for s in less}
    assert shares["generate-96x96"] == (positives if positives > 1 else 0)
    assert shares["evaluate-validation"] == all_of_split > positives, "real mammograms of both classes are scored"
    assert not any(s.shards for s in line(Workspace(tmp_path / "work"), "local", **options).stages())


def test_a_dry_run_of_the_study_shows_the_arrays_and_the_jobs_that_complete_them(tmp_path: Path) -> None:
    table = write_cohort(tmp_path / "cohort", patients=60)
    (tmp_path / "study.yaml").write_text("shards: {shard-images: 2}")
    words = ("--cohort", table, "--workspace", tmp_path / "work", "--resolution", "96x96", "--dry-run")
    shown = run_script("launch/study.py", *words, "--config", tmp_path / "study.yaml")
    assert shown.returncode == 0, shown.stderr
    tasks = len([n for n in planned(table, Workspace(tmp_path / "work"), 0, 2) if n.startswith("test")])
    assert shown.stdout.count(f"#SBATCH --array=0-{tasks - 1}%") == 2
    assert "#SBATCH --dependency=afterok:JOB-generate-96x96\n" in shown.stdout
    assert "#SBATCH --dependency=afterok:JOB-evaluate-test\n" in shown.stdout


def alter_all(workspace: Workspace) -> None:
    tasks = plan(workspace, SMALL, ALTER)
    for task in tasks:
        generate_shard(task)
    finish(tasks)


def on_a_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose job 7 runs, and which takes no other."""
    squeue = prints(squeue_rows("7 RUNNING None 0 mammogan-x"))
    programs(folder / "bin", monkeypatch, srun="exit 0", sbatch='[ "$1" = --version ]', sinfo="exit 0", squeue=squeue)


@pytest.mark.parametrize("stage", ["generate", "evaluate"])
def test_work_of_a_study_job_is_not_submitted_manually(
    trained: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    on_a_cluster(tmp_path, monkeypatch)
    if stage == "evaluate":
        alter_all(trained)
    name, of_study = ("evaluate", "evaluate-test") if stage == "evaluate" else (f"generate-{SMALL}",) * 2
    write_json(trained.root / "study" / of_study / "launch.json", record("7"))
    refused = run_script(f"launch/{stage}.py", "--workspace", trained.root, "--cluster", "slurm", "--device", "cpu")
    assert refused.returncode == 2 and f"job 7 ({name})" in refused.stderr, refused.stdout + refused.stderr


def test_work_of_a_manually_submitted_job_is_not_submitted_by_a_study(
    trained: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_cluster(tmp_path, monkeypatch)
    alter_all(trained)
    write_json(trained.scores("test") / "launch.json", record("7"))
    told = run_script("launch/study.py", "--workspace", trained.root, "--cluster", "slurm", "--cpu-ranks", "1")
    assert told.returncode == 0 and "submitted job" not in told.stdout, told.stdout + told.stderr
    assert re.search(r"evaluate-test +job 7, running, submitted manually\n", told.stdout)


def record(job: str) -> dict[str, object]:
    return {"job_ids": [job], "submitted": "2026-01-01T00:00:00+00:00"}


def states(workspace: Workspace, cohort: Path | None = None, **sections: dict[str, object]) -> dict[str, str]:
    """The plan of the study with these sections, by stage."""
    sections = {"shards": {"shard-images": 2}, **sections}
    stages = line(workspace, cohort=cohort, sections=sections).stages()
    done = done_before(stages)
    return {stage.name: plan_state(stage, stages, done) for stage in stages}


def test_shards_say_themselves_with_which_options_they_were_made(
    trained: Workspace, phantom: Path, tmp_path: Path
) -> None:
    table = shutil.copytree(phantom, tmp_path / "phantom") / "labels.csv"
    assert states(trained, table)["shards"] == "done", "by hand, as requested"
    differs = "to run: requested with other options: --fit crop in place of pad"
    assert states(trained, table, shards={"shard-images": 2, "fit": "crop"})["shards"] == differs
    assert states(trained, None, shards={"fit": "crop"})["shards"] == "done", "without a table they are used"
    table.rename(moved := table.with_name("moved.csv"))
    assert states(trained, moved)["shards"] == "done"
    lost = trained.shards(SMALL) / "train-negative-000000.tar"
    kept = lost.read_bytes()
    lost.unlink()
    assert states(trained, moved)["shards"] == "to run: train-negative-000000.tar is gone or cut short"
    lost.write_bytes(kept)
    trained.cohort.rename(trained.root / "kept.csv")
    assert states(trained, moved)["shards"] == "to run: cohort.csv is gone"
    (trained.root / "kept.csv").rename(trained.cohort)
    moved.write_text("\n".join(moved.read_text().splitlines()[:-1]) + "\n")
    assert states(trained, moved)["shards"].startswith("to run: the table is another: ")


def test_adversarial_shards_say_themselves_by_what_they_were_made(trained: Workspace, tmp_path: Path) -> None:
    name, of_one = f"generate-{SMALL}", {"direction": "remove"}
    assert states(trained)[name] == "to run: index.json not there"
    alter_all(trained)
    assert states(trained)[name] == states(trained, generate=of_one)[name] == "done", "by hand"
    assert "--background is now as-generated" in states(trained, generate={"background": "as-generated"})[name]
    best = trained.gan_run(SMALL, Direction.REMOVE) / "checkpoints" / "best.pt"
    (tmp_path / "moved").mkdir()
    moved = shutil.copy(best, tmp_path / "moved" / "gnet.pt")
    assert states(trained, generate={**of_one, "checkpoint": moved})[name] == "done", "the same generator elsewhere"
    save_gnet(trained, SMALL, Direction.REMOVE, seed=5)
    assert states(trained)[name] == "to run: test-remove-000000.tar: the generator changed"
    save_gnet(trained, SMALL, Direction.INSERT, seed=5)
    assert states(trained)[name].endswith("the generator changed, and 4 more")
    assert states(trained, generate={**of_one, "checkpoint": moved})[name] == "done"


def test_a_report_says_itself_with_which_options_it_was_made(trained: Workspace) -> None:
    alter_all(trained)
    evaluate(trained, EvaluateConfig(device="cpu", bootstrap=100, threshold=0.4))
    requested = {"bootstrap": 100, "threshold": 0.4}
    assert states(trained, evaluate=requested)["evaluate-test"] == "done", "by hand"
    for name in ("predictions.csv", "shift.png"):
        (trained.report / name).rename(trained.root / name)
        gone = f"to run: {name} of the report not there"
        assert states(trained, evaluate=requested)["evaluate-test"] == gone
        (trained.root / name).rename(trained.report / name)
    sound = trained.predictions.read_text()
    trained.predictions.write_text(sound.replace(",adversarial", ",original", 1))
    changed = "to run: predictions.csv of the report changed after it was written"
    assert states(trained, evaluate=requested)["evaluate-test"] == changed
    trained.predictions.write_text(sound)
    differs = "to run: requested with other options: --threshold 0.5 in place of 0.4, --bootstrap 2000 in place of 100"
    assert states(trained)["evaluate-test"] == differs
    own = trained.report / "done.json"
    write_json(own, {"columns": []})
    assert states(trained)["evaluate-test"] == "done", "an earlier version did not record them"
    save_cad(trained, SMALL, seed=7)
    assert "the CAD changed" in states(trained, evaluate=requested)["evaluate-test"]
