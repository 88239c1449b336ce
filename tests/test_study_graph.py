"""The study as a graph: order, what is skipped and why, failures, stages side by side."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from clusters import leave_clusters, wait_for

from mammogan.cluster.side_by_side import run
from mammogan.cluster.study import Recorded, Stage, done_before, plan_state, tree
from mammogan.cluster.tasks import Command
from mammogan.config import UserError


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


def test_only_what_is_missing_runs(tmp_path: Path) -> None:
    stages = diamond(tmp_path)
    (tmp_path / "a").touch()
    (tmp_path / "c").touch()
    assert run(stages, 2, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["b", "d"]


def test_a_failure_stops_what_depends_on_it_names_its_log_and_the_rerun_goes_on(
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


def test_what_runs_beside_a_failing_stage_may_end_but_nothing_new_starts(tmp_path: Path) -> None:
    meet = f"while [ ! -e {tmp_path}/failing ]; do sleep 0.02; done; sleep 0.3"
    stages = diamond(tmp_path, b=f"{{ touch {tmp_path}/failing; exit 1; }}", c=meet)
    assert run([*stages, stage(tmp_path, "e", "c")], 2, tmp_path / "logs") == 1
    assert (tmp_path / "c").exists() and ran(tmp_path) == ["a", "b", "c"]


def meeting(folder: Path, other: str) -> str:
    """Shell words that fail unless the ``other`` stage starts within some seconds of this one."""
    seen = f"[ $(grep -c {other} {folder}/ran) = 1 ]"
    return f"for i in $(seq 200); do {seen} && break; sleep 0.02; done; {seen}"


def test_independent_stages_overlap_and_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)))
    threads = "echo threads $OMP_NUM_THREADS."
    stages = diamond(
        tmp_path, b=f"{threads}; {meeting(tmp_path, 'c')}", c=f"{threads}; {meeting(tmp_path, 'b')}", d=threads
    )
    assert run(stages, 2, tmp_path / "logs") == 0
    told = capsys.readouterr().out.splitlines()
    assert {"b | threads 3.", "c | threads 3.", "d | threads ."} <= set(told)


def test_no_more_stages_than_asked_run_side_by_side(tmp_path: Path) -> None:
    alone = f"mkdir {tmp_path}/lock && sleep 0.1 && rmdir {tmp_path}/lock"
    assert run([stage(tmp_path, name, script=alone) for name in "abcd"], 1, tmp_path / "logs") == 0


def test_a_stage_that_leaves_nothing_behind_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([Stage("a", ("true",), makes=(tmp_path / "a",))], 1, tmp_path / "logs") == 1
    assert f"a ended without making {tmp_path}/a" in capsys.readouterr().err


def test_an_exit_code_that_is_fine_lets_the_line_go_on(tmp_path: Path) -> None:
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


def test_a_stage_that_finds_all_up_to_date_is_done_afterwards(tmp_path: Path) -> None:
    looks = Stage("looks", ("/bin/sh", "-c", f"[ -e {tmp_path}/looks ]"), ("a",), (tmp_path / "looks",))
    stages = [stage(tmp_path, "a"), looks]
    (tmp_path / "looks").touch()
    assert run(stages, 1, tmp_path / "logs") == 0
    assert done_before(stages, tmp_path / "logs") == {"a", "looks"}


def test_a_stage_that_is_asked_for_otherwise_runs_again_and_what_it_makes_is_taken_up(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    assert run([stage(tmp_path, "a", asks="--epochs 3"), stage(tmp_path, "b", "a")], 1, logs) == 0
    assert (logs / "a.command").read_text() == "--epochs 3\n"
    changed = [stage(tmp_path, "a", asks="--epochs 5", script="sleep 0.05"), stage(tmp_path, "b", "a")]
    assert done_before(changed, logs) == set()
    assert plan_state(changed[0], changed, set(), logs) == "to run: asked for otherwise: --epochs 5 in place of 3"
    assert run(changed, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]
    assert run(changed, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]


def test_what_another_command_has_made_since_is_made_again(tmp_path: Path) -> None:
    stages, logs = [stage(tmp_path, "a", asks="--threshold .5"), stage(tmp_path, "b", "a")], tmp_path / "logs"
    assert run(stages, 1, logs) == 0
    time.sleep(0.02)
    (tmp_path / "a").write_text("by hand, with another threshold")
    assert plan_state(stages[0], stages, done_before(stages, logs), logs) == "to run: made since by another command"
    assert run(stages, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]
    assert done_before(stages, logs) == {"a", "b"}


def test_a_training_that_was_gone_on_with_by_hand_counts_by_what_it_says_itself(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    assert run([replace(stage(tmp_path, "a", asks="--epochs 3"), goes_on=lambda: False)], 1, logs) == 0
    time.sleep(0.02)
    (tmp_path / "a").write_text("by hand, for 5 epochs")
    for epochs, others in (("3", True), ("5", False)):
        asked = replace(stage(tmp_path, "a", asks=f"--epochs {epochs}"), goes_on=lambda others=others: others)
        assert (done_before([asked], logs) == set()) is others


def test_a_clock_that_is_ahead_where_a_stage_ran_does_not_make_it_run_again(tmp_path: Path) -> None:
    ahead = stage(tmp_path, "a", asks="--epochs 3", script=f"touch -d '2 minutes' {tmp_path}/a && exit 0")
    assert run([ahead], 1, tmp_path / "logs") == 0
    assert done_before([ahead], tmp_path / "logs") == {"a"}


def test_what_was_made_by_hand_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert run([stage(tmp_path, "a", asks="--epochs 3")], 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == [] and not (tmp_path / "logs" / "a.command").exists()


def test_a_stage_that_refuses_its_new_settings_is_heard_and_the_old_ones_still_count_as_done(
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
    task = pickle.loads(pickle.dumps(Recorded(Command(("true",)), second, first.makes, tmp_path / "study")))
    task()
    assert done_before([first, second], tmp_path / "study") == {"a", "b"}
    assert (tmp_path / "study" / "b.command").read_text() == "--epochs 3\n"
    (tmp_path / "b").unlink()
    with pytest.raises(UserError, match="b ended without making"):
        task()
    assert task.checkpoint().function is task


def test_what_says_itself_that_more_is_asked_for_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    asked = replace(stage(tmp_path, "a", asks="--epochs 3"), goes_on=lambda: not (tmp_path / "ran").exists())
    assert done_before([asked], tmp_path / "logs") == set()
    assert run([asked], 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["a"] and done_before([asked], tmp_path / "logs") == {"a"}


@pytest.mark.parametrize("folder", ["a-file/study", "/proc/study"])
def test_a_folder_that_cannot_be_written_is_an_error_before_anything_starts(tmp_path: Path, folder: str) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(UserError, match=r"study cannot be written \(.+\); give a --workspace"):
        run([stage(tmp_path, "a")], 1, tmp_path / folder)
    assert ran(tmp_path) == []


def test_a_log_that_cannot_be_written_ends_the_study_and_what_runs_beside_it(tmp_path: Path) -> None:
    (tmp_path / "logs" / "a.log").mkdir(parents=True)
    stages = [stage(tmp_path, name, script="exec sleep 60") for name in "ab"]
    began = time.monotonic()
    with pytest.raises(UserError, match=r"a\.log cannot be written \(Is a directory\), so the study stops"):
        run(stages, 2, tmp_path / "logs")
    assert time.monotonic() - began < 20


def test_an_interruption_is_told_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mammogan.cluster.study import Stage;"
        "from mammogan.cluster.side_by_side import run;"
        "from mammogan.command_line import guarded; f = Path(sys.argv[1]);"
        "script = 'import time, sys; from mammogan.command_line import guarded; open(sys.argv[1], \"w\").close();'"
        "' sys.exit(guarded(lambda: time.sleep(60)))';"
        "stages = [Stage(n, (sys.executable, '-c', script, str(f / n))) for n in 'ab'];"
        "sys.exit(guarded(lambda: run(stages, 2, f)))"
    )
    study = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: (tmp_path / "a").exists() and (tmp_path / "b").exists())
    time.sleep(0.2)
    study.send_signal(signal.SIGINT)
    told = study.communicate(timeout=20)[0]
    assert study.returncode == 130 and told.count("interrupted") == 1
    assert "interrupted" in (tmp_path / "a.log").read_text()


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
    again = "asked for otherwise: --fast new, --size 192 in place of 96, --seed 1 new, other contents of --cohort"
    assert plan(stage(tmp_path, "a", asks=asked), second) == [f"to run: {again}", "waits for a"]
    fewer = stage(tmp_path, "a", asks=f"make.py {table}")
    assert plan(fewer, second)[0] == "to run: asked for otherwise: --size 96 left out"
    for newest in (tmp_path / "a", logs / "a.command"):
        os.utime(newest, (2**31, 2**31))
    assert plan(first, second) == ["done", f"to run: made before {tmp_path / 'a'}"]


def test_a_stopped_study_stops_its_stages(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mammogan.cluster.study import Stage; f = Path(sys.argv[1]);"
        "from mammogan.cluster.side_by_side import run;"
        "run([Stage(n, ('/bin/sh', '-c', f'echo $$ > {f}/{n}; exec sleep 60')) for n in 'ab'], 2, f)"
    )
    study = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    written = [tmp_path / "a", tmp_path / "b"]
    wait_for(lambda: all(file.exists() and file.read_text() for file in written))
    study.send_signal(signal.SIGTERM)
    assert study.wait(timeout=20) == 143
    for file in written:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)
