"""Stages on one machine: side by side, stopped, interrupted, and where they cannot write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clusters import leave_clusters, wait_for
from test_study_graph import diamond, ran, stage

from mammogan.errors import UserError
from mammogan.study.run_local import run


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


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


def test_no_more_stages_than_requested_run_side_by_side(tmp_path: Path) -> None:
    alone = f"mkdir {tmp_path}/lock && sleep 0.1 && rmdir {tmp_path}/lock"
    assert run([stage(tmp_path, name, script=alone) for name in "abcd"], 1, tmp_path / "logs") == 0


def test_the_stage_with_the_longest_chain_behind_it_starts_first(tmp_path: Path) -> None:
    stages = [stage(tmp_path, "a"), stage(tmp_path, "b"), stage(tmp_path, "c", "b"), stage(tmp_path, "d", "c")]
    assert run(stages, 1, tmp_path / "logs") == 0
    assert ran(tmp_path)[0] == "b"


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


def test_an_interruption_is_reported_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mammogan.study.stage import Stage;"
        "from mammogan.study.run_local import run;"
        "from mammogan.io.options import guarded; f = Path(sys.argv[1]);"
        "script = 'import time, sys; from mammogan.io.options import guarded; open(sys.argv[1], \"w\").close();'"
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


def test_a_stopped_study_stops_its_stages(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mammogan.study.stage import Stage; f = Path(sys.argv[1]);"
        "from mammogan.study.run_local import run;"
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
