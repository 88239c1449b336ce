"""A training on two nodes that SLURM disturbs: it goes on by itself and learns what an undisturbed one learns."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mammogan.config import Workspace
from slurm.conftest import started
from slurm.trainings import (
    Reference,
    assert_bit_identical,
    gan_run,
    said_by_first_rank,
    slurm,
    state_of,
    train_gan,
    wait_for,
    wait_for_end,
    wait_for_next_checkpoint,
)

pytestmark = pytest.mark.slurm


def assert_completed(job: str, restarts: int, workspace: Workspace, reference: Reference) -> None:
    """The same job, so often back from the queue, has learned what an undisturbed one learns."""
    assert wait_for_end(job) == "COMPLETED", said_by_first_rank(workspace)
    told = said_by_first_rank(workspace)
    assert f"SLURM job {job}, restarts: {restarts}, ranks: 2 on node1, node2" in told, told
    assert f"restarts: {restarts + 1}" not in told
    assert_bit_identical(workspace, reference)


def test_a_training_told_that_its_time_is_up_goes_back_to_the_queue_as_often_as_it_is_told(
    ready: Workspace, reference: Reference
) -> None:
    job = train_gan(ready)
    for restarts in range(2):
        wait_for(partial(said, ready, f"restarts: {restarts},"), "its start", 90)
        wait_for_next_checkpoint(gan_run(ready))
        slurm("scancel", "--signal=USR2", job)
    assert_completed(job, 2, ready, reference)


def test_a_training_pre_empted_by_urgent_work_goes_on_after_it(
    ready: Workspace, reference: Reference, tmp_path: Path
) -> None:
    job = train_gan(ready)
    wait_for_next_checkpoint(gan_run(ready))
    urgent = slurm(
        *("sbatch", "--parsable", "--partition=urgent", "--nodes=2", "--exclusive", f"--output={tmp_path}/urgent"),
        "--wrap=sleep 1",
    )
    assert wait_for_end(urgent) == "COMPLETED"
    assert_completed(job, 1, ready, reference)


def test_a_training_outlives_the_daemons_of_its_nodes_and_the_controller(
    ready: Workspace, reference: Reference, cluster: str
) -> None:
    job = train_gan(ready)
    wait_for_next_checkpoint(gan_run(ready))
    for daemon in ("slurmd-node1", "slurmd-node2", "slurmctld"):
        kill(int((Path(cluster).parents[1] / "run" / f"{daemon}.pid").read_text()))
    started()
    assert_completed(job, 0, ready, reference)


@pytest.fixture
def cable() -> Iterator[str]:
    """The cable of node2, plugged in again after the test."""
    yield "mammogan-node2"
    slurm("ip", "link", "set", "mammogan-node2", "up")
    started()


def test_when_a_node_loses_its_power_the_training_goes_on_once_it_is_back(
    ready: Workspace, reference: Reference, cable: str
) -> None:
    job = train_gan(ready)
    wait_for_next_checkpoint(gan_run(ready))
    slurm("ip", "link", "set", cable, "down")
    for pid in map(int, slurm("ip", "netns", "pids", "mammogan-node2").split()):
        kill(pid)
    slurm("scontrol", "update", "NodeName=node2", "State=DOWN", "Reason=no power")  # sooner than SlurmdTimeout does
    wait_for(lambda: state_of(job) == "PENDING", "the job to be back in the queue")
    slurm("ip", "link", "set", cable, "up")
    started()
    assert_completed(job, 1, ready, reference)


def said(workspace: Workspace, words: str) -> bool:
    return words in said_by_first_rank(workspace)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
