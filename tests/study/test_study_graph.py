"""The study as a graph: order, what is skipped and why, failures, stages side by side."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from clusters import leave_clusters

from mammogan.cluster.tasks import Command
from mammogan.errors import UserError
from mammogan.study.run_local import run
from mammogan.study.stage import CompletingTask, Stage, done_before, plan_state, tree


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


def stage(folder: Path, name: str, *needs: str, script: str = "", asks: str = "") -> Stage:
    """A stage that notes that it ran and makes a file of its name, after ``script``."""
    script = f"echo {name} >> {folder}/ran; {script or ':'} && touch {folder}/{name}"
    return Stage(name, ("/bin/sh", "-c", script), needs, (folder / name,), tuple(asks.split()))


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split() if (folder / "ran").exists() else []


def diamond(folder: Path, **scripts: str) -> list[Stage]:
    """a, then b and c, then d."""
    needs = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    return [stage(folder, name, *before, script=scripts.get(name, "")) for name, before in needs.items()]


def test_stages_run_in_order_and_not_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = diamond(tmp_path)
    assert run(stages, 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["a", "b", "c", "d"]
    capsys.readouterr()
    assert run(stages, 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["a", "b", "c", "d"]
    assert capsys.readouterr().out.split("\n")[:-1] == [f"{name}: done before" for name in "abcd"]


def test_only_missing_stages_run(tmp_path: Path) -> None:
    stages = diamond(tmp_path)
    (tmp_path / "a").touch()
    (tmp_path / "c").touch()
    assert run(stages, 2, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["b", "d"]


def test_a_failure_stops_dependent_stages_and_names_its_log_and_the_rerun_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = diamond(tmp_path, b="{ echo the reason; exit 7; }")
    assert run(broken, 1, tmp_path / "logs") == 1
    assert ran(tmp_path) == ["a", "b"]
    said, told = capsys.readouterr()
    assert "b failed" not in said
    assert re.search(rf"b failed with exit code 7 after .*; its log: {tmp_path}/logs/b.log", told)
    assert "not done: b, c, d" in told and told.count("failed with exit code") == 1
    assert (tmp_path / "logs" / "b.log").read_text() == "the reason\n"
    assert run(diamond(tmp_path), 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["a", "b", "b", "c", "d"]


def test_a_stage_that_leaves_nothing_behind_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([Stage("a", ("true",), makes=(tmp_path / "a",))], 1, tmp_path / "logs") == 1
    assert f"a ended without making {tmp_path}/a" in capsys.readouterr().err


def test_an_accepted_exit_code_lets_the_study_continue(tmp_path: Path) -> None:
    words = ("/bin/sh", "-c", f"touch {tmp_path}/a; exit 3")
    stages = [Stage("a", words, makes=(tmp_path / "a",), fine=(0, 3)), stage(tmp_path, "b", "a")]
    assert run(stages, 1, tmp_path / "logs") == 0
    with pytest.raises(subprocess.CalledProcessError):
        Command(words)()
    Command(words, fine=(0, 3))()


def test_a_stage_is_not_done_while_its_input_is_newer_or_missing(tmp_path: Path) -> None:
    stages, logs = [stage(tmp_path, "a"), stage(tmp_path, "b", "a"), stage(tmp_path, "c", "b")], tmp_path / "logs"
    assert run(stages, 1, logs) == 0
    os.utime(tmp_path / "b", (2**31, 2**31))
    assert done_before(stages, logs) == {"a", "b"}
    (tmp_path / "b").unlink()
    assert done_before(stages, logs) == {"a"}


def test_a_stage_waits_only_for_those_files_of_another_stage_that_it_reads(tmp_path: Path) -> None:
    def stages(*sizes: str) -> list[Stage]:
        made = {size: tmp_path / f"index-{size}" for size in sizes}
        words = ("/bin/sh", "-c", f"echo shards >> {tmp_path}/ran; for f in $0 $@; do [ -e $f ] || touch $f; done")
        cads = [replace(stage(tmp_path, f"cad-{size}", "shards"), reads=(made[size],)) for size in sizes]
        return [Stage("shards", (*words, *map(str, made.values())), makes=tuple(made.values())), *cads]

    assert run(stages("low"), 1, tmp_path / "logs") == 0
    assert done_before(stages("low", "high"), tmp_path / "logs") == {"cad-low"}
    assert run(stages("low", "high"), 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["shards", "cad-low", "shards", "cad-high"]
    assert done_before(stages("low", "high"), tmp_path / "logs") == {"shards", "cad-low", "cad-high"}
    os.utime(tmp_path / "index-low", (2**31, 2**31))
    assert done_before(stages("low", "high"), tmp_path / "logs") == {"shards", "cad-high"}


def test_a_stage_that_finds_all_up_to_date_is_done_afterwards(tmp_path: Path) -> None:
    looks = Stage("looks", ("/bin/sh", "-c", f"[ -e {tmp_path}/looks ]"), ("a",), (tmp_path / "looks",))
    stages = [stage(tmp_path, "a"), looks]
    (tmp_path / "looks").touch()
    assert run(stages, 1, tmp_path / "logs") == 0
    assert done_before(stages, tmp_path / "logs") == {"a", "looks"}


def test_a_stage_with_other_options_runs_again_and_so_do_the_stages_that_read_its_files(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    assert run([stage(tmp_path, "a", asks="--epochs 3"), stage(tmp_path, "b", "a")], 1, logs) == 0
    assert (logs / "a.command").read_text() == "--epochs 3\n"
    changed = [stage(tmp_path, "a", asks="--epochs 5", script="sleep 0.05"), stage(tmp_path, "b", "a")]
    assert done_before(changed, logs) == set()
    differs = "requested with other options: --epochs 5 in place of 3"
    assert plan_state(changed[0], changed, set(), logs) == f"to run: {differs}"
    assert run(changed, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]
    assert run(changed, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]


def test_results_remade_by_another_command_are_made_again(tmp_path: Path) -> None:
    stages, logs = [stage(tmp_path, "a", asks="--threshold .5"), stage(tmp_path, "b", "a")], tmp_path / "logs"
    assert run(stages, 1, logs) == 0
    time.sleep(0.02)
    (tmp_path / "a").write_text("by hand, with another threshold")
    assert plan_state(stages[0], stages, done_before(stages, logs), logs) == "to run: made since by another command"
    assert run(stages, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]
    assert done_before(stages, logs) == {"a", "b"}


def test_a_manually_resumed_training_counts_by_its_own_record(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    assert run([replace(stage(tmp_path, "a", asks="--epochs 3"), would_do_more=lambda: False)], 1, logs) == 0
    time.sleep(0.02)
    (tmp_path / "a").write_text("by hand, for 5 epochs")
    for epochs, others in (("3", True), ("5", False)):
        asked = replace(stage(tmp_path, "a", asks=f"--epochs {epochs}"), would_do_more=lambda others=others: others)
        assert (done_before([asked], logs) == set()) is others


def test_a_clock_that_is_ahead_where_a_stage_ran_does_not_make_it_run_again(tmp_path: Path) -> None:
    ahead = stage(tmp_path, "a", asks="--epochs 3", script=f"touch -d '2 minutes' {tmp_path}/a && exit 0")
    assert run([ahead], 1, tmp_path / "logs") == 0
    assert done_before([ahead], tmp_path / "logs") == {"a"}


def test_files_made_manually_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert run([stage(tmp_path, "a", asks="--epochs 3")], 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == [] and not (tmp_path / "logs" / "a.command").exists()


def test_a_stage_that_refuses_its_new_settings_is_reported_and_the_old_results_still_count_as_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, logs = [stage(tmp_path, "a", asks="--width 1")], tmp_path / "logs"
    assert run(before, 1, logs) == 0
    refuses = stage(tmp_path, "a", asks="--width 2", script="{ echo error: width was 1, now 2 >&2; exit 2; }")
    assert run([refuses, stage(tmp_path, "b", "a")], 1, logs) == 1
    told = capsys.readouterr()
    assert "error: width was 1, now 2" in told.out and "a failed with exit code 2" in told.err
    assert not (tmp_path / "b").exists()
    assert done_before(before, logs) == {"a"}


def test_a_stage_on_a_cluster_leaves_the_same_record(tmp_path: Path) -> None:
    first, second = stage(tmp_path, "a"), stage(tmp_path, "b", "a", asks="--epochs 3")
    for made in (tmp_path / "b", tmp_path / "a"):
        made.touch()
        os.utime(made, (made.name == "a", made.name == "a"))  # b is older than what it is made from
    task = pickle.loads(pickle.dumps(CompletingTask(Command(("true",)), second, first.makes, tmp_path / "study")))
    task()
    assert done_before([first, second], tmp_path / "study") == {"a", "b"}
    assert (tmp_path / "study" / "b.command").read_text() == "--epochs 3\n"
    (tmp_path / "b").unlink()
    with pytest.raises(UserError, match="b ended without making"):
        task()
    assert task.checkpoint().function is task


def test_a_stage_that_reports_more_work_to_do_runs_again(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    asked = replace(stage(tmp_path, "a", asks="--epochs 3"), would_do_more=lambda: not (tmp_path / "ran").exists())
    assert done_before([asked], tmp_path / "logs") == set()
    assert run([asked], 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["a"] and done_before([asked], tmp_path / "logs") == {"a"}


def test_the_plan_is_a_tree_with_states(tmp_path: Path) -> None:
    stages = diamond(tmp_path)
    (tmp_path / "a").touch()
    done = done_before(stages, tmp_path)
    assert tree(stages, lambda s: plan_state(s, stages, done, tmp_path)).splitlines() == [
        "a      done",
        "  b    to run: b not there",
        "  c    to run: c not there",
        "    d  waits for b, c: d not there",
    ]


def test_the_plan_says_why_what_is_there_is_made_again(tmp_path: Path) -> None:
    def plan(*stages: Stage) -> list[str]:
        return [plan_state(s, stages, done_before(stages, logs), logs) for s in stages]

    logs, table = tmp_path / "logs", "--cohort " + 64 * "0"
    first, second = stage(tmp_path, "a", asks=f"make.py --size 96 {table}"), stage(tmp_path, "b", "a")
    assert run([first, second], 1, logs) == 0
    assert plan(first, second) == ["done", "done"]
    asked = f"make.py --fast --size 192 --seed 1 --cohort {64 * '1'}"
    differs = "--fast new, --size 192 in place of 96, --seed 1 new, other contents of --cohort"
    again = f"requested with other options: {differs}"
    assert plan(stage(tmp_path, "a", asks=asked), second) == [f"to run: {again}", "waits for a"]
    fewer = stage(tmp_path, "a", asks=f"make.py {table}")
    assert plan(fewer, second)[0] == "to run: requested with other options: --size 96 left out"
    for newest in (tmp_path / "a", logs / "a.command"):
        os.utime(newest, (2**31, 2**31))
    assert plan(first, second) == ["done", f"to run: made before {tmp_path / 'a'}"]
