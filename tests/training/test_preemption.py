"""A training that is asked to end, or is killed, ends as if nothing had happened once it has gone on."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trainings
from clusters import wait_for
from training_states import assert_close, assert_same, result_of
from trainings import CAD, COMPUTE, GAN, SIGNAL, codes, command, run_on_ranks, signalled, start_ranks

from mammogan.training import cad, gan
from mammogan.training.run.checkpoint import load
from mammogan.training.run.preemption import Preemption, Stopped
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Resolution, Workspace

SMALL = Resolution(96, 96)
RARELY = replace(COMPUTE, save_minutes=99.0)
"""Between epochs nothing is saved but what a signal has saved."""
VARYING = ("time", "images_per_second")


def train(kind: str, workspace: Workspace) -> None:
    if kind == "cad":
        cad.train_cad(replace(CAD, compute=RARELY), workspace)
    else:
        gan.train_gan(replace(GAN, compute=RARELY), Direction(kind), workspace)


def run_of(kind: str, workspace: Workspace) -> Run:
    return Run(workspace.cad_run(SMALL) if kind == "cad" else workspace.gan_run(SMALL, Direction(kind)))


def told(run: Run) -> list[dict[str, Any]]:
    """What metrics.jsonl says but for times."""
    events = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{name: value for name, value in event.items() if name not in VARYING} for event in events]


@pytest.fixture(scope="module")
def undisturbed(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("undisturbed") / "work"
    shutil.copytree(converted.root, root)
    for kind in ("cad", "remove"):
        train(kind, Workspace(root))
    return Workspace(root)


def assert_undisturbed(kind: str, workspace: Workspace, undisturbed: Workspace) -> None:
    found, expected = run_of(kind, workspace), run_of(kind, undisturbed)
    assert result_of(found) == result_of(expected)
    assert_same(load(found.newest), load(expected.newest))
    if expected.best.is_file():
        assert_same(load(found.best), load(expected.best))
    assert told(found) == told(expected)


@pytest.mark.parametrize(("kind", "batches"), [("cad", 6), ("remove", 15)])
def test_stopped_at_every_batch_and_resumed_it_is_bit_identical(
    kind: str, batches: int, undisturbed: Workspace, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind != "cad":
        shutil.copytree(undisturbed.cad_run(SMALL), workspace.cad_run(SMALL))
    numbers = [signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    for done in range(batches):
        number = numbers[done % len(numbers)]
        with pytest.raises(Stopped) as stopped, signalled(number, [0]):
            train(kind, workspace)
        assert stopped.value.code == 128 + number
        epoch, batch = divmod(done, 3)
        where = f"saved at epoch {epoch}, batch {batch + 1}; the same command resumes from here"
        assert where in capsys.readouterr().out
    train(kind, workspace)
    assert_undisturbed(kind, workspace, undisturbed)


@pytest.mark.parametrize("batch", [0, 2, 4, 5])
def test_stopped_once_and_resumed_it_is_bit_identical(batch: int, undisturbed: Workspace, workspace: Workspace) -> None:
    with pytest.raises(Stopped), signalled(signal.SIGTERM, [batch]):
        train("cad", workspace)
    train("cad", workspace)
    assert_undisturbed("cad", workspace, undisturbed)


def test_a_training_killed_before_it_saves_resumes_from_the_last_epoch(
    undisturbed: Workspace, workspace: Workspace
) -> None:
    for batch in (1, 4, 1):
        killed = subprocess.run(command("cad", workspace), env=os.environ | {SIGNAL: f"9@{batch}"}, timeout=100)
        assert killed.returncode == -9
    train("cad", workspace)
    assert_undisturbed("cad", workspace, undisturbed)


def test_validation_too_is_left_for_a_signal_and_done_again(
    undisturbed: Workspace,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    validate = cad.probabilities

    def signalled_validation(*about: Any) -> list[float]:
        os.kill(os.getpid(), signal.SIGUSR2)
        return validate(*about)

    with monkeypatch.context() as context, pytest.raises(Stopped):
        context.setattr(cad, "probabilities", signalled_validation)
        train("cad", workspace)
    assert "saved at epoch 0, batch 3" in capsys.readouterr().out and not run_of("cad", workspace).metrics.exists()
    train("cad", workspace)
    assert_undisturbed("cad", workspace, undisturbed)


def test_an_earlier_signal_handler_decides_whether_the_training_ends(
    undisturbed: Workspace, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """submitit's for SIGTERM returns: SLURM sends SIGUSR2 too, or kills, and what there is to save is saved by then."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with signalled(signal.SIGTERM, [1, 4]):
            train("cad", workspace)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] * 2
    out = capsys.readouterr().out
    assert "saved at epoch 0, batch 2" in out and "saved at epoch 1, batch 2" in out
    assert_undisturbed("cad", workspace, undisturbed)


def test_what_is_ignored_stays_ignored_and_handlers_are_given_back(
    undisturbed: Workspace, workspace: Workspace
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signalled(signal.SIGHUP, [0, 3]):
            train("cad", workspace)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert_undisturbed("cad", workspace, undisturbed)


def test_the_first_control_c_waits_for_the_batch_and_a_second_one_does_not() -> None:
    asked = Preemption()
    with asked.listening():
        for _ in range(2):  # a launcher passes on what the terminal has sent as well
            os.kill(os.getpid(), signal.SIGINT)
        assert asked.first == signal.SIGINT
        os.kill(os.getpid(), signal.SIGUSR2)
        assert asked.first == signal.SIGUSR2
        time.sleep(2.1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        for number in (signal.SIGUSR2, signal.SIGINT):
            with pytest.raises(Stopped):
                asked.obey(number)


class Left(SystemExit):
    """What a launcher's handler raises."""


def test_a_rank_whose_peer_left_for_the_same_signal_leaves_too(capsys: pytest.CaptureFixture[str]) -> None:
    def launcher(number: int, frame: object) -> None:
        raise Left

    before = signal.signal(signal.SIGUSR2, launcher)
    try:
        with pytest.raises(Left), Preemption().listening():
            os.kill(os.getpid(), signal.SIGUSR2)
            raise RuntimeError("Connection closed by peer")
        assert "Connection closed by peer" in capsys.readouterr().err
        with pytest.raises(RuntimeError), Preemption().listening():
            raise RuntimeError("a fault that no signal came before")
    finally:
        signal.signal(signal.SIGUSR2, before)
    with pytest.raises(RuntimeError), Preemption().listening():
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("a fault, and no launcher to do it over")


def test_two_ranks_stopped_and_killed_in_turn_end_bit_identical_and_one_rank_resumes_their_state(
    converted: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut, alone = (Workspace(tmp_path / name) for name in ("whole", "cut", "alone"))
    for workspace in (whole, cut):
        shutil.copytree(converted.root, workspace.root)
    run_on_ranks("cad", whole, 2)
    commands = [command("cad", cut, exact=True)] * 2
    assert codes(start_ranks(commands, ("0@-1", f"{signal.SIGTERM}@1"))) == [143, 143]
    shutil.copytree(cut.root, alone.root)
    assert codes(start_ranks(commands, (f"{signal.SIGUSR2}@1", "0@-1"))) == [140, 140]
    assert -9 in codes(start_ranks(commands, ("0@-1", "9@1")))
    run_on_ranks("cad", cut, 2)
    assert_same(load(run_of("cad", cut).newest), load(run_of("cad", whole).newest))
    assert told(run_of("cad", cut)) == told(run_of("cad", whole))
    capsys.readouterr()
    trainings.train("cad", str(alone.root), exact=True)
    out = capsys.readouterr().out
    assert "from epoch 0, batch 2" in out and "saved by 2 rank(s), resuming with 1: " in out
    assert_close(load(run_of("cad", alone).newest)["cad"], load(run_of("cad", whole).newest)["cad"])


def test_a_terminal_that_is_closed_costs_nothing(undisturbed: Workspace, workspace: Workspace) -> None:
    """Whatever is written to it from then on is an error."""
    words = command("cad", workspace)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(words[0], words, os.environ)
    wait_for(run_of("cad", workspace).newest.is_file, seconds=60)  # of the first batch
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGHUP
    train("cad", workspace)
    assert_undisturbed("cad", workspace, undisturbed)


def test_a_signal_that_comes_too_late_reaches_the_earlier_handler() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with Preemption().listening():
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
