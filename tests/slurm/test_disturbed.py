"""A training on two nodes that SLURM disturbs: it goes on by itself and learns what an undisturbed one learns."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mammogan.cluster.job import Job
from mammogan.cluster.slurm import submit
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Command
from mammogan.workspace import Workspace
from slurm.conftest import started
from slurm.trainings import (
    Reference,
    assert_bit_identical,
    gan_run,
    logs,
    ranks_on,
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
    most = restarts + len(losses_of_nodes(job))
    begun = [int(count) for count in re.findall(rf"SLURM job {job}, restarts: (\d+), ranks: 2 on node1, node2", told)]
    assert begun and restarts <= max(begun) <= most, f"{told}\n{losses_of_nodes(job)}"
    assert_bit_identical(workspace, reference)


def test_a_training_that_reaches_its_time_limit_twice_is_requeued_twice(ready: Workspace, reference: Reference) -> None:
    job = train_gan(ready)
    for restarts in (1, 2):
        wait_for_next_checkpoint(gan_run(ready))
        slurm("scancel", "--signal=USR2", job)
        slurm("scancel", "--signal=USR2", job)  # while it saves, or leaves
        wait_for(lambda before=restarts: restarts_of(job) >= before, "the job to be back in the queue")  # type: ignore[misc]
    assert_completed(job, 2, ready, reference)


def test_a_training_pre_empted_by_urgent_work_resumes_after_it(
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


def test_a_training_outlives_the_controller_and_the_daemons_of_its_nodes(
    ready: Workspace, reference: Reference, cluster: str
) -> None:
    job = train_gan(ready)
    wait_for_next_checkpoint(gan_run(ready))
    time.sleep(5)  # a controller forgets what it has not written yet
    for daemon in ("slurmctld", "slurmd-node1", "slurmd-node2"):
        kill(pid_of(daemon, cluster))
    started()
    assert_completed(job, 0, ready, reference)


@pytest.fixture
def cable() -> Iterator[str]:
    """The cable of node2, plugged in again after the test."""
    yield "mammogan-node2"
    slurm("ip", "link", "set", "mammogan-node2", "up")
    started()


def test_when_a_node_loses_its_power_the_training_resumes_once_it_is_back(
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


def test_a_stage_of_one_process_is_put_back_and_begun_again(tmp_path: Path) -> None:
    work = f"[ -e {tmp_path}/begun ] || {{ touch {tmp_path}/begun; exec sleep 60; }}; touch {tmp_path}/made"
    job = command_job(work, tmp_path)
    wait_for((tmp_path / "begun").exists, "its work to begin")
    slurm("scancel", "--signal=USR2", job)
    assert wait_for_end(job) == "COMPLETED" and restarts_of(job) == 1, logs(tmp_path)
    assert (tmp_path / "made").exists()


def test_a_signal_that_comes_while_a_job_starts_does_not_kill_it(tmp_path: Path) -> None:
    job = command_job(f"sleep 6; touch {tmp_path}/made", tmp_path)
    wait_for(lambda: bool(ranks_on("node1")), "its process")
    slurm("scancel", "--signal=USR2", job)
    assert wait_for_end(job) == "COMPLETED", logs(tmp_path)
    assert (tmp_path / "made").exists()


@pytest.fixture
def folder_of_its_own(ready: Workspace) -> Iterator[Path]:
    """The checkpoints' folder, which on node2 is a disk of its own."""
    folder = gan_run(ready).newest.parent
    folder.mkdir(parents=True)
    wait_for(lambda: bool(daemons_of("node2")), "node2's daemon, if a test before has restarted it")
    on_node2 = ("nsenter", f"--target={daemons_of('node2')[0]}", "--mount")
    slurm(*on_node2, "mount", "-t", "tmpfs", "tmpfs", str(folder))
    yield folder
    slurm(*on_node2, "umount", str(folder))


def test_nodes_that_do_not_share_the_folder_are_reported_before_anything_is_trained(
    ready: Workspace, folder_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = train_gan(ready)
    assert wait_for_end(job) == "FAILED"
    said = said_by_first_rank(ready)
    assert f"{folder_of_its_own} is not the same folder for all ranks: the first rank, on node1, saves there" in said
    assert "does not appear within 15 s to rank 1 on node2" in said and "epoch 0" not in said
    assert not gan_run(ready).has_state


def command_job(script: str, folder: Path) -> str:
    """Submit a shell script on one node; the job's id."""
    work = Job("stage", Command(("sh", "-c", script)), folder / "run", folder / "made")
    asked = ClusterConfig(cluster="slurm", cpu_ranks=1, cpus_per_task=1, time="20", nodelist="node1")
    return submit.submit(work, asked).job_id


def losses_of_nodes(job: str) -> list[str]:
    """What the controller says of requeues of its own: it puts a job back when a node does not answer or start it."""
    log = Path(os.environ["SLURM_CONF"]).parents[1] / "log" / "slurmctld.log"
    own = re.compile(rf"requeue job JobId={job} due to failure of node|Prolog launch failure, JobId={job}\b")
    return [line for line in log.read_text(errors="replace").splitlines() if own.search(line)]


def restarts_of(job: str) -> int:
    """How often it has gone back to the queue."""
    return int(re.findall(r"Restarts=(\d+)", slurm("scontrol", "show", "job", job))[0])


def daemons_of(node: str) -> list[str]:
    """Process ids of the slurmd that runs on a node now, whatever its pid file says."""
    pids = slurm("ip", "netns", "pids", f"mammogan-{node}").split()
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().strip() == "slurmd"]


def pid_of(daemon: str, cluster: str) -> int:
    return int((Path(cluster).parents[1] / "run" / f"{daemon}.pid").read_text())


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
