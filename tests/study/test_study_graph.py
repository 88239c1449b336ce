"""The study as a graph: order, what is skipped and why, failures, stages side by side."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from clusters import leave_clusters

from mammogan.cluster.tasks import Command
from mammogan.errors import UserError
from mammogan.study.outdated import other_options
from mammogan.study.run_local import run
from mammogan.study.stage import CompletingTask, Stage, done_before, plan_state, tree


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


def stage(folder: Path, name: str, *needs: str, script: str = "", **options: object) -> Stage:
    """A stage that notes that it ran and makes a file of its name, after ``script``, with its options beside it."""
    made, record = folder / name, json.dumps(options)
    script = f"echo {name} >> {folder}/ran; {script or ':'} && {{ touch {made}; echo '{record}' > {made}.made; }}"
    outdated = partial(differing, folder / f"{name}.made", options)
    return Stage(name, ("/bin/sh", "-c", script), needs, (made,), outdated)


def differing(record: Path, options: dict[str, object]) -> str:
    return other_options(json.loads(record.read_text()) if record.is_file() else {}, options)


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
    stages = [Stage("a", words, makes=(tmp_path / "a",), success_codes=(0, 3)), stage(tmp_path, "b", "a")]
    assert run(stages, 1, tmp_path / "logs") == 0
    with pytest.raises(subprocess.CalledProcessError):
        Command(words)()
    Command(words, success_codes=(0, 3))()


def test_a_stage_is_not_done_while_its_input_is_newer_or_missing(tmp_path: Path) -> None:
    stages, logs = [stage(tmp_path, "a"), stage(tmp_path, "b", "a"), stage(tmp_path, "c", "b")], tmp_path / "logs"
    assert run(stages, 1, logs) == 0
    os.utime(tmp_path / "b", (2**31, 2**31))
    assert done_before(stages) == {"a", "b"}
    (tmp_path / "b").unlink()
    assert done_before(stages) == {"a"}


def test_a_stage_waits_only_for_those_files_of_another_stage_that_it_reads(tmp_path: Path) -> None:
    def stages(*sizes: str) -> list[Stage]:
        made = {size: tmp_path / f"index-{size}" for size in sizes}
        words = ("/bin/sh", "-c", f"echo shards >> {tmp_path}/ran; for f in $0 $@; do [ -e $f ] || touch $f; done")
        cads = [replace(stage(tmp_path, f"cad-{size}", "shards"), reads=(made[size],)) for size in sizes]
        return [Stage("shards", (*words, *map(str, made.values())), makes=tuple(made.values())), *cads]

    assert run(stages("low"), 1, tmp_path / "logs") == 0
    assert done_before(stages("low", "high")) == {"cad-low"}
    assert run(stages("low", "high"), 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["shards", "cad-low", "shards", "cad-high"]
    assert done_before(stages("low", "high")) == {"shards", "cad-low", "cad-high"}
    os.utime(tmp_path / "index-low", (2**31, 2**31))
    assert done_before(stages("low", "high")) == {"shards", "cad-high"}


def test_a_stage_that_finds_all_up_to_date_is_done_afterwards(tmp_path: Path) -> None:
    looks = Stage("looks", ("/bin/sh", "-c", f"[ -e {tmp_path}/looks ]"), ("a",), (tmp_path / "looks",))
    stages = [stage(tmp_path, "a"), looks]
    (tmp_path / "looks").touch()
    assert run(stages, 1, tmp_path / "logs") == 0
    assert done_before(stages) == {"a", "looks"}


def test_a_stage_with_other_options_runs_again_and_so_do_the_stages_that_read_its_files(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    assert run([stage(tmp_path, "a", epochs=3), stage(tmp_path, "b", "a")], 1, logs) == 0
    changed = [stage(tmp_path, "a", epochs=5, script="sleep 0.05"), stage(tmp_path, "b", "a")]
    assert done_before(changed) == set()
    differs = "requested with other options: --epochs 5 in place of 3"
    assert plan_state(changed[0], changed, set()) == f"to run: {differs}"
    assert run(changed, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]
    assert run(changed, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]


def test_results_remade_by_another_command_are_made_again(tmp_path: Path) -> None:
    stages, logs = [stage(tmp_path, "a", threshold=0.5), stage(tmp_path, "b", "a")], tmp_path / "logs"
    assert run(stages, 1, logs) == 0
    time.sleep(0.02)
    assert subprocess.run(stage(tmp_path, "a", threshold=0.6).command).returncode == 0, "by hand"
    differs = "requested with other options: --threshold 0.5 in place of 0.6"
    assert plan_state(stages[0], stages, done_before(stages)) == f"to run: {differs}"
    assert run(stages, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "a", "b"]
    assert done_before(stages) == {"a", "b"}


def test_a_manually_resumed_training_counts_by_its_own_record(tmp_path: Path) -> None:
    assert run([stage(tmp_path, "a", epochs=3)], 1, tmp_path / "logs") == 0
    assert subprocess.run(stage(tmp_path, "a", epochs=5).command).returncode == 0, "by hand"
    assert [done_before([stage(tmp_path, "a", epochs=epochs)]) for epochs in (3, 5)] == [set(), {"a"}]


def test_a_clock_that_is_ahead_where_a_stage_ran_does_not_make_it_run_again(tmp_path: Path) -> None:
    ahead = Stage("a", ("touch", "-d", "2 minutes", f"{tmp_path}/a"), makes=(tmp_path / "a",))
    looks = Stage("b", ("test", "-e", f"{tmp_path}/b"), ("a",), (tmp_path / "b",))
    (tmp_path / "b").touch()
    assert run([ahead, looks], 1, tmp_path / "logs") == 0
    assert done_before([ahead, looks]) == {"a", "b"}


def test_files_made_manually_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert run([stage(tmp_path, "a", epochs=3)], 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == []


def test_a_stage_that_refuses_its_new_settings_is_reported_and_the_old_results_still_count_as_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, logs = [stage(tmp_path, "a", width=1)], tmp_path / "logs"
    assert run(before, 1, logs) == 0
    refuses = stage(tmp_path, "a", width=2, script="{ echo error: width was 1, now 2 >&2; exit 2; }")
    assert run([refuses, stage(tmp_path, "b", "a")], 1, logs) == 1
    told = capsys.readouterr()
    assert "error: width was 1, now 2" in told.out and "a failed with exit code 2" in told.err
    assert not (tmp_path / "b").exists()
    assert done_before(before) == {"a"}


def test_a_stage_on_a_cluster_is_completed_as_on_this_machine(tmp_path: Path) -> None:
    first, second = stage(tmp_path, "a"), stage(tmp_path, "b", "a", epochs=3)
    for made in (tmp_path / "b", tmp_path / "a"):
        made.touch()
        os.utime(made, (made.name == "a", made.name == "a"))  # b is older than what it is made from
    work = CompletingTask(Command(("true",)), second.name, second.makes, first.makes)
    task = pickle.loads(pickle.dumps(work))
    assert done_before([first, second]) == {"a"}
    task()
    assert done_before([first, second]) == {"a", "b"}
    (tmp_path / "b").unlink()
    with pytest.raises(UserError, match="b ended without making"):
        task()
    assert task.checkpoint().function is task


def test_the_plan_is_a_tree_with_states(tmp_path: Path) -> None:
    stages = diamond(tmp_path)
    (tmp_path / "a").touch()
    done = done_before(stages)
    assert tree(stages, lambda s: plan_state(s, stages, done)).splitlines() == [
        "a      done",
        "  b    to run: b not there",
        "  c    to run: c not there",
        "    d  waits for b, c: d not there",
    ]


def test_the_plan_says_why_what_is_there_is_made_again(tmp_path: Path) -> None:
    def plan(*stages: Stage) -> list[str]:
        return [plan_state(s, stages, done_before(stages)) for s in stages]

    logs, table = tmp_path / "logs", 64 * "0"
    first, second = stage(tmp_path, "a", size=96, cohort=table), stage(tmp_path, "b", "a")
    assert run([first, second], 1, logs) == 0
    assert plan(first, second) == ["done", "done"]
    differs = "--size 192 in place of 96, other contents of --cohort"
    again = f"requested with other options: {differs}"
    changed = stage(tmp_path, "a", size=192, seed=1, cohort=64 * "1")
    assert plan(changed, second) == [f"to run: {again}", "waits for a"], "the seed was not recorded yet"
    os.utime(tmp_path / "a", (2**31, 2**31))
    assert plan(first, second) == ["done", f"to run: made before {tmp_path / 'a'}"]
