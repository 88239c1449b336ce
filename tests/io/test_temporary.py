"""What killed processes left behind goes away; what another process is writing does not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clusters import wait_for
from conftest import SMALL
from generators import save_all

from mammogan.attack.config import GenerateConfig
from mammogan.attack.generate import finish, generate_shard, plan
from mammogan.config import CadConfig
from mammogan.io.atomic import replaced_atomically, write_text
from mammogan.io.temporary import ABANDONED_SECONDS, remove_abandoned, remove_abandoned_of, temporary
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Workspace

WRITES = (
    "import sys; from pathlib import Path; from mammogan.io.atomic import replaced_atomically\n"
    "final = Path(sys.argv[1])\n"
    "with replaced_atomically(final) as own: own.write_text('of another'); sys.stdin.readline()\n"
)


@contextmanager
def another_writing(final: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process of this machine in the middle of writing a file, until it is told to go on."""
    before = set(final.parent.glob(".*.tmp"))
    with subprocess.Popen([sys.executable, "-c", WRITES, str(final)], stdin=subprocess.PIPE, text=True) as process:
        wait_for(lambda: any(path.stat().st_size for path in set(final.parent.glob(".*.tmp")) - before))
        yield process


def test_a_file_that_another_process_is_writing_stays_until_that_is_gone(tmp_path: Path) -> None:
    final = tmp_path / "made"
    with another_writing(final) as process:
        remove_abandoned_of(final)
        remove_abandoned(tmp_path)
        with replaced_atomically(final) as own:
            own.write_text("ours")
        assert final.read_text() == "ours" and process.communicate("\n") and process.returncode == 0
    assert final.read_text() == "of another" and list(tmp_path.iterdir()) == [final]
    with another_writing(final) as process:
        process.kill()
    assert len(list(tmp_path.iterdir())) == 2
    remove_abandoned_of(tmp_path / "another")
    assert len(list(tmp_path.iterdir())) == 2
    remove_abandoned_of(final)
    assert list(tmp_path.iterdir()) == [final]


def test_leftovers_of_another_host_or_an_earlier_version_are_removed_after_a_day(tmp_path: Path) -> None:
    ours = temporary(tmp_path / "made").name.split(".")
    elsewhere = [tmp_path / ".".join([*ours[:2], 12 * "0", *ours[3:]]), tmp_path / ".made.4242.tmp"]
    for path in elsewhere:
        path.touch()
    remove_abandoned(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(elsewhere)
    long_ago = time.time() - ABANDONED_SECONDS - 60
    for path in elsewhere:
        os.utime(path, (long_ago, long_ago))
    remove_abandoned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_leftovers_of_an_earlier_process_with_our_number_are_removed(tmp_path: Path) -> None:
    temporary(tmp_path / "made").touch()
    remove_abandoned(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_starting_training_removes_only_unfinished_files(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    write_text(run.newest, "")
    with another_writing(run.newest) as process:
        temporary(run.best).touch()
        run.begin(CadConfig(), {})
        assert not temporary(run.best).exists() and process.communicate("\n") and process.returncode == 0
    assert run.newest.read_text() == "of another"


@pytest.fixture
def untrained(workspace: Workspace) -> Workspace:
    save_all(workspace, SMALL)
    return workspace


def test_two_processes_that_make_the_same_adversarial_shard_do_not_disturb_each_other(untrained: Workspace) -> None:
    tasks = plan(untrained, SMALL, GenerateConfig(device="cpu"))
    tar = untrained.adversarial(SMALL) / tasks[0].name
    tar.parent.mkdir(parents=True)
    with another_writing(tar) as process:
        for task in tasks:
            generate_shard(task)
        finish(tasks)
        made = tar.read_bytes()
        assert process.communicate("\n") and process.returncode == 0
    assert tar.read_text() == "of another"
    assert [task.outdated() for task in tasks] == ["not made yet", *[""] * (len(tasks) - 1)], "of another size"
    generate_shard(tasks[0])
    assert tar.read_bytes() == made


def test_generating_everything_twice_at_once_succeeds_both_times(untrained: Workspace) -> None:
    program = (
        "import sys; from pathlib import Path; from mammogan.attack.generate import generate;"
        "from mammogan.attack.config import GenerateConfig; from mammogan.workspace import Workspace;"
        "generate(Workspace(Path(sys.argv[1])), GenerateConfig(device='cpu', batch=1))"
    )
    words = [sys.executable, "-c", program, str(untrained.root)]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert not any(task.outdated() for task in plan(untrained, SMALL, GenerateConfig(device="cpu")))
