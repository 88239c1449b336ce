"""What launch/watch.py shows of a workspace, without SLURM or with commands that only look like its."""

from __future__ import annotations

import json
import os
import pickle
import re
import select
import signal
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trainings
import watching
from clusters import leave_clusters, programs, wait_for
from conftest import ROOT, SMALL, run_script
from in_place_of_a_file import IN_PLACE, put_in_place
from watching import begun_workspace, look

from mammogan.cluster.slurm.outcome import outcome_file
from mammogan.cluster.slurm.queue import COLUMNS
from mammogan.cluster.slurm.wait import Submitted
from mammogan.config import GanConfig, to_dict
from mammogan.errors import UserError
from mammogan.io.records import write_record
from mammogan.study.given_cad import record_given_cad
from mammogan.training.run.status import Status, read_status
from mammogan.watch.stage_status import StageStatus
from mammogan.watch.table import plain, table
from mammogan.watch.watch import Watcher, document
from mammogan.workspace import Direction, Workspace

REMOVE = f"gan-{SMALL}-remove"
SQUEUE = f"printf '{''.join(f'%-{width}s' for width in COLUMNS.values())}\\n'"
NO_ACCOUNTING = "echo 'Slurm accounting storage is disabled' >&2; exit 1"


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


@pytest.fixture
def begun(tmp_path: Path) -> Workspace:
    """A workspace with shards, and a generator's run in its fourth phase."""
    workspace = begun_workspace(tmp_path / "work")
    run = workspace.gan_run(SMALL, Direction.REMOVE)
    (run / "config.yaml").write_text(json.dumps({"config": to_dict(GanConfig(epochs=(1, 0, 1, 300, 270)))}))
    epochs = [("warm-gnet", {"identity": 0.2}), ("last-layer", {"gap": 0.3}), ("head", {"gap": 0.134})]
    events = [{"event": "epoch", "epoch": n, "phase": name, **means} for n, (name, means) in enumerate(epochs)]
    events.insert(1, {"event": "phase", "phase": "warm-gnet", "ended_by": "its cap of 1 epochs", "epoch": 1})
    events.insert(3, {"event": "phase", "phase": "last-layer", "ended_by": "its cap of 1 epochs", "epoch": 2})
    (run / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return workspace


def stage(workspace: Workspace, name: str = REMOVE) -> StageStatus:
    return watching.stage(workspace, name)


def line_of(workspace: Workspace, name: str = REMOVE) -> str:
    """Its row, blanks apart."""
    lines = plain(look(workspace)).splitlines()
    return " ".join(next(line for line in lines if line.startswith(f"{name} ")).split())


def submit(folder: Path, *ids: str, arrays: dict[str, list[str]] | None = None) -> None:
    """As if these jobs had been submitted for a folder just now."""
    folder.mkdir(parents=True, exist_ok=True)
    submitted = datetime.now(UTC).isoformat(timespec="seconds")
    (folder / "launch.json").write_text(
        json.dumps({"job_ids": [*(arrays or {}), *ids], "arrays": arrays or {}, "submitted": submitted})
    )


def end(folder: Path, job: str, how: str | None, log: str = "") -> None:
    """As if a job had ended, with what it wrote."""
    files = folder / "submit" / job.partition("_")[0]
    files.mkdir(parents=True, exist_ok=True)
    (files / f"{job}_0_log.out").write_text(log)
    if how:
        write_record(outcome_file(files, job), {"outcome": how})


def test_a_training_is_shown_while_it_runs_here_after_it_was_killed_and_once_it_is_done(workspace: Workspace) -> None:
    trainings.train("cad", str(workspace.root), exact=False)
    run = workspace.gan_run(SMALL, Direction.REMOVE)
    with subprocess.Popen(trainings.command("remove", workspace)) as training:
        wait_for(lambda: bool((status := read_status(run)) and status.phase), 60)
        training.send_signal(signal.SIGSTOP)
        shown = {status.stage.name: status for status in look(workspace).statuses}
        assert (shown[REMOVE].state, shown[REMOVE].message) == ("running", "running here")
        assert shown[REMOVE].progress.phase == "warm-gnet" and shown[REMOVE].progress.epoch == 1
        training.kill()
    assert shown[f"cad-{SMALL}"].state == "done" and shown[f"cad-{SMALL}"].progress.epoch == 2
    assert {"focal", "penalty", "best_auc"} <= shown[f"cad-{SMALL}"].progress.figures.keys()
    assert (run / "status.json").exists() and stage(workspace).message == "stopped"
    assert line_of(workspace).endswith("ago")
    assert shown["evaluate-test"].state == shown[f"generate-{SMALL}"].state == "to do"
    trainings.train("remove", str(workspace.root), exact=False)
    assert stage(workspace).state == "done" and not (run / "status.json").exists()
    assert line_of(workspace).startswith(f"{REMOVE} done all 1 of 1")


def test_a_generator_shows_its_phase_and_what_its_stop_rule_looks_at(begun: Workspace) -> None:
    Status(2, "head", 70, 5700, 12.5, 3700.0).write(begun.gan_run(SMALL, Direction.REMOVE))
    assert line_of(begun) == f"{REMOVE} running here head 2 of 300 gap 0.134, ends < 0.01 12.5 1 h 01 min"


def test_a_phase_that_has_just_begun_has_not_measured_what_its_rule_looks_at(begun: Workspace) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    with open(run / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"event": "phase", "phase": "head", "ended_by": "gap below 0.01", "epoch": 3}) + "\n")
    assert "all 1 of 270 gap ?, ends < 0.01" in line_of(begun)


def test_a_dead_critic_is_shown_while_it_trains_and_afterwards_and_in_json(begun: Workspace) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    epoch = {"event": "epoch", "epoch": 3, "phase": "head", "gap": 0.1, "validation_fooled": 0.5}
    for alive in (True, False):
        with open(run / "metrics.jsonl", "a") as file:
            file.write(json.dumps({**epoch, "critic_alive": alive}) + "\n")
        assert ("critic dead" in line_of(begun)) != alive
        [told] = [stage for stage in document(look(begun))["stages"] if stage["name"] == REMOVE]
        assert told["figures"]["critic_alive"] is alive
    (run / "done.json").write_text("{}")
    assert "critic dead, best fooled 50%" in line_of(begun)


def test_the_best_figure_is_that_of_the_generator_that_is_kept_never_of_the_warm_up(begun: Workspace) -> None:
    metrics = begun.gan_run(SMALL, Direction.REMOVE) / "metrics.jsonl"
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    lines[0]["validation_fooled"] = 0.9  # in the warm-up
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "best fooled" not in line_of(begun)
    epoch = {"event": "epoch", "phase": "head", "gap": 0.1, "critic_alive": True}
    with open(metrics, "a") as file:
        for number, (fooled, kept) in enumerate(((0.2, True), (0.4, True), (0.6, False)), 3):
            file.write(json.dumps({**epoch, "epoch": number, "validation_fooled": fooled, "kept": kept}) + "\n")
    (metrics.parent / "done.json").write_text("{}")
    assert "best fooled 40%" in line_of(begun)


def test_damaged_files_are_passed_over(begun: Workspace) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    with open(run / "metrics.jsonl", "a") as file:
        file.write('[1]\n{"event": "epoch", "epo')
    for content in ('{"epoch": 2, "ti', "[]", '{"epoch": "x"}', '{"epoch": 2, "time": null}', "\0\0"):
        (run / "status.json").write_text(content)
        assert "stopped head 2 of 300 gap 0.134" in line_of(begun)
    (run / "launch.json").write_text('{"job_ids":')
    (run / "config.yaml").write_text("config: [")
    assert stage(begun).state == "stopped"


def test_brackets_without_end_and_settings_of_another_type_are_passed_over(begun: Workspace) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    with open(run / "metrics.jsonl", "a") as file:
        file.write("[" * 20000 + "\n")
    (run / "status.json").write_text("[" * 20000)
    assert "stopped head 2 of 300 gap 0.134" in line_of(begun)
    for epochs in ("many", [1, 2], ["1", "2", "3", "4", "5"], None):
        (run / "config.yaml").write_text(json.dumps({"config": to_dict(GanConfig()) | {"epochs": epochs}}))
        assert stage(begun).state == "stopped"
    (run / "config.yaml").write_text("[" * 1500)
    assert stage(begun).state == "stopped"


@pytest.mark.parametrize("what", ["a folder", "a link to nothing", "a link to itself"])
def test_what_stands_in_the_place_of_done_json_is_a_failure_of_its_stage_and_the_others_are_shown(
    begun: Workspace, what: str
) -> None:
    done = begun.gan_run(SMALL, Direction.REMOVE) / "done.json"
    done.write_text("{}")
    put_in_place(done, what)
    found = stage(begun)
    assert found.state == "failed" and re.search(f"done.json.*{IN_PLACE[what]}", found.error)
    assert stage(begun, f"shards-{SMALL}").state == "done" and look(begun).exit_code == 1


def test_a_cad_that_was_given_from_outside_is_shown_and_not_missed(begun: Workspace) -> None:
    name = f"cad-{SMALL}"
    assert line_of(begun, name) == f"{name} -"
    record_given_cad(begun, "their/run")
    run = begun.gan_run(SMALL, Direction.REMOVE)
    (run / "config.yaml").rename(run / "kept.yaml")
    assert line_of(begun, name) == f"{name} given: their/run" and stage(begun, name).state == "done"
    config = {"config": to_dict(GanConfig(cad="my_parts:cad"))}
    (run / "config.yaml").write_text(json.dumps(config))
    assert line_of(begun, name) == f"{name} given: my_parts:cad"
    (run / "kept.yaml").replace(run / "config.yaml")
    assert line_of(begun, name) == f"{name} -"
    begun.cad_run(SMALL).mkdir()
    record_given_cad(begun, "")
    assert line_of(begun, name) == f"{name} -"


def test_a_training_elsewhere_counts_as_running_until_its_status_is_old(begun: Workspace) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    told = vars(Status(2, "head")) | {"host": "another", "pid": 1}
    for age, expected in ((60, "running elsewhere"), (86400, "stopped")):
        (run / "status.json").write_text(json.dumps(told | {"time": time.time() - age}))
        assert stage(begun).message == expected


def test_queued_and_running_jobs_are_shown_in_the_words_of_squeue(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(begun.gan_run(SMALL, Direction.REMOVE), "41")
    submit(begun.root / "study" / f"generate-{SMALL}", "42")
    first = f"{SQUEUE} 41 RUNNING None 2 mammogan-{REMOVE}"
    second = f"{SQUEUE} 42 PENDING Dependency 0 mammogan-generate-{SMALL}"
    programs(tmp_path / "bin", monkeypatch, squeue=f"{first}; {second}", sacct=NO_ACCOUNTING)
    assert line_of(begun).startswith(f"{REMOVE} RUNNING, restarts 2 head 2 of 300")
    assert line_of(begun, f"generate-{SMALL}") == f"generate-{SMALL} PENDING (Dependency)"
    assert look(begun).exit_code == 0


def test_a_job_of_another_user_with_the_same_number_is_not_ours(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(begun.gan_run(SMALL, Direction.REMOVE), "41")
    squeue, sacct = f"{SQUEUE} 41 RUNNING None 0 their-job", "echo '41|RUNNING|their-job'"
    programs(tmp_path / "bin", monkeypatch, squeue=squeue, sacct=sacct)
    assert (stage(begun).state, stage(begun).message) == ("stopped", "ended, no result")


def test_a_job_that_was_killed_is_not_believed_to_run_because_it_was_heard_of(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    submit(run, "41")
    Status(2, "head", 70, 5700, 12.5, 3700.0).write(run)
    told = json.loads((run / "status.json").read_text()) | {"host": "another"}
    (run / "status.json").write_text(json.dumps(told))
    programs(tmp_path / "bin", monkeypatch, squeue=f"{SQUEUE} 41 NODE_FAIL None 0 mammogan-x", sacct=NO_ACCOUNTING)
    assert line_of(begun) == f"{REMOVE} NODE_FAIL head 2 of 300 gap 0.134, ends < 0.01"


@pytest.mark.parametrize(
    ("word", "state"),
    [("CANCELLED by 1000", "cancelled"), ("TIMEOUT", "failed"), ("NODE_FAIL", "failed"), ("OUT_OF_MEMORY", "failed")],
)
def test_sacct_says_how_a_job_ended_and_its_log_says_why(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, state: str
) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    submit(run, "41")
    end(run, "41", None, "batch 3\nslurmstepd: error: *** STEP 41.0 ON node1 CANCELLED ***\n")
    rows = f"echo '41|PREEMPTED|mammogan-x'; echo '41|{word}|mammogan-x'"
    programs(tmp_path / "bin", monkeypatch, squeue="exit 0", sacct=rows)
    found = stage(begun)
    assert (found.state, found.message, found.restarts) == (state, word.split()[0], 1)
    assert found.error == "slurmstepd: error: *** STEP 41.0 ON node1 CANCELLED ***"
    assert look(begun).exit_code == 1
    assert f"{REMOVE} {word.split()[0]}: slurmstepd" in plain(look(begun))


def test_without_accounting_the_result_of_a_job_says_how_it_ended(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    gone = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    programs(tmp_path / "bin", monkeypatch, squeue=gone, sacct=NO_ACCOUNTING)
    submit(run, "41")
    assert (stage(begun).state, stage(begun).message) == ("stopped", "ended, no result")
    end(run, "41", "error", "Traceback (most recent call last):\n  File\nmammogan.errors.UserError: no pairs\n")
    assert (stage(begun).message, stage(begun).error) == ("FAILED", "UserError: no pairs")
    end(run, "41", "success")
    assert stage(begun).error == f"ended without making {run / 'done.json'}"
    (run / "done.json").write_text("{}")
    assert stage(begun).state == "done"
    assert "(states from squeue)" in plain(look(begun))


class Planted:
    """Unpickled, it writes a file: what others left in a workspace could do anything."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.file),)


def test_a_pickle_planted_in_a_workspace_is_not_read_to_look(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    programs(tmp_path / "bin", monkeypatch, squeue="exit 0", sacct=NO_ACCOUNTING)
    submit(run, "41")
    end(run, "41", "error", "error: no pairs\n")
    planted = run / "submit" / "41" / "41_0_result.pkl"
    planted.write_bytes(pickle.dumps(Planted(tmp_path / "ran")))
    assert stage(begun).state == "failed" and stage(begun).error == "error: no pairs"
    run_script("launch/watch.py", "--workspace", begun.root)
    job = Submitted("41", "gan", run / "log", outcome_file(planted.parent, "41"), None)
    assert not job.succeeded and not (tmp_path / "ran").exists()
    pickle.loads(planted.read_bytes())
    assert (tmp_path / "ran").exists(), "it would have run"


def test_the_package_unpickles_nothing_but_the_task_that_a_process_was_started_for() -> None:
    unpickles = re.compile(
        r"\b(?:cloud)?pickle\.loads?\b|\bUnpickler\b|weights_only\s*=\s*False|allow_pickle\s*=\s*True"
    )
    users = [p.relative_to(ROOT) for p in (ROOT / "mammogan").rglob("*.py") if unpickles.search(p.read_text())]
    assert users == [Path("mammogan/cluster/local.py")]


def test_where_slurm_does_not_answer_nothing_is_made_up(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    submit(run, "41")
    programs(tmp_path / "bin", monkeypatch, squeue="echo 'Unable to contact slurm controller' >&2; exit 1")
    assert (stage(begun).state, stage(begun).message) == ("unknown", "not known")
    assert "squeue fails: Unable to contact slurm controller" in plain(look(begun))
    Status(2, "head").write(run)
    assert stage(begun).message == "running here"


def test_a_failed_job_is_shown_with_its_log_also_when_no_error_is_found_in_it(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    programs(tmp_path / "bin", monkeypatch, squeue="exit 0", sacct="echo '51|FAILED|mammogan-gan'")
    submit(run, "51")
    log = run / "submit" / "51" / "51_0_log.out"
    expected = (
        f"{REMOVE} FAILED: it wrote no log: does its node see the workspace, under the same path?\n  log     {log}"
    )
    assert expected in plain(look(begun))
    end(run, "51", None, log="it ends here\n")
    assert f"{REMOVE} FAILED\n  log     {log}" in plain(look(begun))


def test_what_a_job_used_is_shown_below_the_table(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    programs(tmp_path / "bin", monkeypatch, squeue="exit 0", sacct="echo '51|COMPLETED|mammogan-gan'")
    submit(run, "51")
    end(run, "51", "success")
    file = run / "submit" / "51" / "51_usage.json"
    write_record(file, {"start": "node a: 4 core(s) asked of 64", "end": ""})
    assert plain(look(begun)).endswith(f"{REMOVE} on node a: 4 core(s) asked of 64")
    write_record(file, {"start": "node a: ...", "end": "node a, 9 min: 3.1 of 4 core(s) busy"})
    assert plain(look(begun)).endswith(f"{REMOVE} on node a, 9 min: 3.1 of 4 core(s) busy")
    file.write_text("{")
    assert stage(begun).usage == ""


def test_a_failed_job_outweighs_what_an_earlier_one_has_completed(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun.gan_run(SMALL, Direction.REMOVE)
    (run / "done.json").write_text("{}")
    os.utime(run / "done.json", (1e9, 1e9))
    submit(run, "41")
    programs(tmp_path / "bin", monkeypatch, squeue=f"{SQUEUE} 41 FAILED NonZeroExitCode 0 mammogan-x")
    assert stage(begun).state == "failed"
    programs(tmp_path / "bin", monkeypatch, squeue=f"{SQUEUE} 41 COMPLETED None 0 mammogan-x")
    assert stage(begun).state == "done"


def test_tasks_of_an_array_are_counted_and_failed_ones_are_named(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun.adversarial(SMALL)
    names = [f"test-remove-00000{n}.tar" for n in range(5)]
    submit(folder, "52", arrays={"51": names})
    end(folder, "51_1", "error", "error: test-positive-000001.tar is damaged\n")
    end(folder, "51_0", "success")
    rows = [("51_1", "FAILED"), ("51_2", "RUNNING"), ("51_3", "RUNNING"), ("51_4", "PENDING"), ("52", "PENDING")]
    squeue = "; ".join(f"{SQUEUE} {job} {state} None 0 mammogan-generate" for job, state in rows)
    programs(tmp_path / "bin", monkeypatch, squeue=squeue, sacct=NO_ACCOUNTING)
    line = line_of(begun, f"generate-{SMALL}")
    assert line == f"generate-{SMALL} RUNNING tasks: 1 of 5 done, 2 running, 1 waiting, 1 failed"
    told = " ".join(plain(look(begun)).split())
    assert f"RUNNING: error: test-positive-000001.tar is damaged shards {names[1]} log " in told
    ended = [(job, "FAILED" if job == "51_1" else "COMPLETED") for job, _ in rows[:-1]] + [("52", "CANCELLED")]
    squeue = "; ".join(f"{SQUEUE} {job} {state} None 0 mammogan-generate" for job, state in ended)
    programs(tmp_path / "bin", monkeypatch, squeue=squeue, sacct=NO_ACCOUNTING)
    found = stage(begun, f"generate-{SMALL}")
    assert found.state == "failed" and found.error == "error: test-positive-000001.tar is damaged"
    assert found.tasks and found.tasks.failed == (names[1],) and found.tasks.done == 4


def test_an_array_of_thousands_is_looked_at_as_quickly_as_one_of_few(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    programs(tmp_path / "bin", monkeypatch, squeue=gone, sacct=NO_ACCOUNTING)
    folder, listed, scandir = begun.adversarial(SMALL), [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path=".": listed.append(path) or scandir(path))
    counts = []
    for tasks in (20, 2000):
        submit(folder, "52", arrays={"51": [f"test-remove-{n:06}.tar" for n in range(tasks)]})
        for task in range(tasks):
            end(folder, f"51_{task}", "error" if task % 10 == 0 else "success", "error: damaged\n" * (task % 10 == 0))
        watcher = Watcher(begun)
        for _ in range(2):
            listed.clear()
            began = time.monotonic()
            [found] = [s for s in watcher.look().statuses if s.stage.kind == "generate"]
            took = time.monotonic() - began
            assert took < 1, f"{took:.2f} s for {tasks} tasks"
            counts.append(len(listed))
            assert found.tasks and (found.tasks.done, len(found.tasks.failed)) == (tasks * 9 // 10, tasks // 10)
            assert found.error == "error: damaged"
    assert len(set(counts)) == 1, counts


def test_sacct_is_queried_once_for_an_ended_job_and_squeue_shows_when_it_is_requeued(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(begun.gan_run(SMALL, Direction.REMOVE), "41")
    sacct = f"echo asked >> {tmp_path}/asked; echo '41|FAILED|mammogan-x'"
    programs(tmp_path / "bin", monkeypatch, squeue="exit 0", sacct=sacct)
    watcher = Watcher(begun)
    assert [watcher.look().exit_code for _ in range(3)] == [1, 1, 1]
    assert (tmp_path / "asked").read_text() == "asked\n"
    programs(tmp_path / "bin", monkeypatch, squeue=f"{SQUEUE} 41 PENDING BeginTime 1 mammogan-x", sacct=sacct)
    assert watcher.look().exit_code == 0


def test_a_stage_that_failed_in_a_local_study_says_why_until_it_runs_again(begun: Workspace) -> None:
    log = begun.root / "study" / "shards.log"
    log.parent.mkdir()
    log.write_text("converting\nerror: labels.csv: no such file\n")
    (begun.shards(SMALL) / "index.json").unlink()
    found = stage(begun, f"shards-{SMALL}")
    assert (found.state, found.error) == ("failed", "error: labels.csv: no such file")
    (begun.shards(SMALL) / "index.json").write_text("{}")
    assert stage(begun, f"shards-{SMALL}").state == "done"


def test_the_command_prints_complete_lines_once_or_json_and_its_exit_code_shows_a_failure(
    begun: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    log = begun.root / "study" / f"generate-{SMALL}.log"
    log.parent.mkdir()
    log.write_text(f"error: {'long ' * 60}end\n")
    shown = run_script("launch/watch.py", "--workspace", begun.root)
    assert shown.returncode == 1 and "long end" in shown.stdout and "gap 0.134, ends < 0.01" in shown.stdout
    told = run_script("launch/watch.py", "--workspace", begun.root, "--json")
    read = json.loads(told.stdout)
    assert told.returncode == 1 and read["schema"] == 2 and read["slurm"] == "not asked"
    by_name = {stage["name"]: stage for stage in read["stages"]}
    assert by_name[REMOVE]["rule"] == {"figure": "gap", "side": "below", "limit": 0.01, "value": 0.134}
    assert (by_name[REMOVE]["phase"], by_name[REMOVE]["epoch"], by_name[REMOVE]["epochs"]) == ("head", 2, 300)
    assert all(stage.keys() == by_name[REMOVE].keys() for stage in read["stages"])


def test_on_a_terminal_the_table_is_drawn_again_until_control_c(begun: Workspace) -> None:
    words = [sys.executable, str(ROOT / "launch" / "watch.py"), "--workspace", str(begun.root), "--every", "1"]
    mine, its = os.openpty()
    termios.tcsetwinsize(its, (50, 200))  # wide enough for the title with the workspace's path in a line
    with subprocess.Popen(words, stdout=its, stderr=subprocess.STDOUT) as watching:
        os.close(its)
        drawn, until = b"", time.monotonic() + 100
        while drawn.count(b"stages done") < 3 and time.monotonic() < until:
            drawn += os.read(mine, 1 << 16) if select.select([mine], [], [], 1)[0] else b""
        assert drawn.count(b"stages done") >= 3
        watching.send_signal(signal.SIGINT)
        assert watching.wait(timeout=20) == 0
    assert b"Traceback" not in drawn + os.read(mine, 1 << 16)
    os.close(mine)


def test_every_key_of_the_document_is_explained(begun: Workspace) -> None:
    [first, *_] = document(look(begun))["stages"]
    assert document.__doc__ and all(key in document.__doc__ for key in first)


def test_the_table_fits_a_hundred_columns_and_folds_what_does_not(begun: Workspace) -> None:
    from rich.console import Console

    Status(2, "head", 70, 5700, 12.5, 3700.0).write(begun.gan_run(SMALL, Direction.REMOVE))
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table(look(begun)))
    drawn = captured.get()
    assert max(map(len, drawn.splitlines())) <= 100 and "head 2 of 300" in drawn and "ends < 0.01" in drawn


def test_each_evaluated_split_is_a_stage_of_its_own(
    begun: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(begun.root / "study" / "evaluate-validation", "41")
    programs(tmp_path / "bin", monkeypatch, squeue=f"{SQUEUE} 41 RUNNING None 0 mammogan-evaluate", sacct=NO_ACCOUNTING)
    assert (stage(begun, "evaluate-validation").message, stage(begun, "evaluate-test").message) == ("RUNNING", "-")


def test_a_folder_that_is_no_workspace_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UserError, match="found pictures"):
        look(Workspace(tmp_path))
    with pytest.raises(UserError, match="no such folder"):
        look(Workspace(tmp_path / "wrok"))
    result = run_script("launch/watch.py", "--workspace", tmp_path / "wrok")
    assert result.returncode == 2 and "mammogan study" in result.stderr
