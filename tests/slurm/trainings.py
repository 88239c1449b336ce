"""A GAN's training on two nodes, small enough for two cores, and what it is compared by."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from conftest import run_script

from mammogan.cluster.job import Job
from mammogan.cluster.launch import launch
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Command
from mammogan.training.run.checkpoint import load
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Resolution, Workspace

SHAPE = ("--resolution", "96x96", "--width", "0.08", "--pairs", "2", "--epoch-batches", "6")
QUIET = ("--compute.device", "cpu", "--compute.loader-workers", "0", "--compute.no-tensorboard")
CAD_WORDS = (*SHAPE, *QUIET, "--vgg-weights", "none", "--epochs", "1", "--compute.save-minutes", "9")
GAN_WORDS = (
    *(*SHAPE, *QUIET, "--direction", "remove", "--epochs", "1", "1", "1", "1", "1"),
    *("--gnet-every", "2", "--no-stop-rules", "--allow-weak-cad", "--compute.save-minutes", "0"),
)
"""Saves after every batch, so that a job may be disturbed anywhere."""
TWO_NODES = ("--cluster", "slurm", "--nodes", "2", "--cpu-ranks", "1", "--cpus-per-task", "1", "--time", "30")

HOSTILE = {
    "SBATCH_TIMELIMIT": "1",
    "SBATCH_JOB_NAME": "other",
    "SBATCH_NO_REQUEUE": "1",
    "SBATCH_ARRAY_INX": "0-2",
    "SBATCH_WAIT": "1",
    "SBATCH_OUTPUT": "/dev/null",
    "SBATCH_OPEN_MODE": "truncate",
    "SBATCH_SIGNAL": "HUP@50",
    "SBATCH_MEM_PER_CPU": "1",
    "SBATCH_GPUS": "9",
    "SBATCH_GRES": "gpu:9",
    "SLURM_TIMELIMIT": "1",
    "SQUEUE_STATES": "CANCELLED",
    "SQUEUE_PARTITION": "urgent",
    "SQUEUE_ACCOUNT": "nobody",
    "SQUEUE_NAMES": "x",
    "SQUEUE_USERS": "nobody",
    "SQUEUE_FORMAT": "%T",
    "SQUEUE_FORMAT2": "State",
    "SQUEUE_QOS": "none",
    "SINFO_FORMAT": "x",
    "SINFO_PARTITION": "nowhere",
    "SLURM_TIME_FORMAT": "relative",
    "SLURM_REMOTE_CWD": "/",
}
"""Variables of a site or a user that would change what these tests ask of SLURM, and what is read from it."""


@dataclass(frozen=True)
class Reference:
    state: dict[str, Any]
    """Its last checkpoint."""
    of_ranks: list[str]
    """Digest of the weights that each rank itself ended with."""


def undisturbed_training(workspace: Workspace, resolution: Resolution) -> Reference:
    """Train on two nodes, each rank telling its own weights."""
    import sys

    told = workspace.root / "told"
    words = (sys.executable, str(Path(__file__).with_name("rank.py")), str(told), *gan_words(workspace))
    folder = workspace.gan_run(resolution, Direction.REMOVE)
    job = Job("gan-reference", Command(words), folder, folder / "done.json", pairs=2)
    asked = ClusterConfig(cluster="slurm", nodes=2, cpu_ranks=1, cpus_per_task=1, time="30", wait=True)
    assert launch([job], asked) == 0, logs(folder)
    return Reference(load(Run(folder).newest), [file.read_text() for file in sorted(told.iterdir())])


def gan_words(workspace: Workspace) -> tuple[str, ...]:
    return ("--workspace", str(workspace.root), *GAN_WORDS)


def train_gan(workspace: Workspace, *words: str) -> str:
    """Submit the training on two nodes as a user does; the job's id. With --wait, after its end."""
    result = run_script("launch/train_gan.py", *gan_words(workspace), *TWO_NODES, *words)
    assert result.returncode == 0, result.stdout + result.stderr + logs(workspace.root)
    return result.stdout.partition("submitted job ")[2].partition(":")[0]


def gan_run(workspace: Workspace) -> Run:
    return Run(workspace.gan_run(Resolution(96, 96), Direction.REMOVE))


def assert_bit_identical(workspace: Workspace, reference: Reference) -> None:
    """The whole last state, save how many lines the log has."""
    state = load(gan_run(workspace).newest)
    different = [
        key for key in state.keys() | reference.state.keys() if not same(state.get(key), reference.state.get(key))
    ]
    assert set(different) <= {"lines"}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def logs(folder: Path) -> str:
    """The ends of all that jobs have said, for a failed assertion."""
    return "\n".join(f"{log}:\n{log.read_text(errors='replace')[-9000:]}" for log in sorted(folder.rglob("*_log.out")))


def said_by_first_rank(workspace: Workspace) -> str:
    return "".join(log.read_text() for log in sorted(gan_run(workspace).path.glob("submit/*/*_0_log.out")))


def slurm(*words: str, seconds: float = 60) -> str:
    """What one of SLURM's commands prints."""
    own = {name: value for name, value in os.environ.items() if name not in HOSTILE}
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=seconds, env=own).stdout.strip()


def state_of(job: str) -> str:
    """Such as PENDING, RUNNING, COMPLETED, FAILED."""
    return slurm("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}")


def ranks_on(node: str) -> list[int]:
    """Process ids of the ranks that run on a node."""
    pids = map(int, slurm("ip", "netns", "pids", f"mammogan-{node}").split())
    return [pid for pid in pids if b"submitit.core._submit" in command_line(pid) and b"srun" not in command_line(pid)]


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60, folder: Path | None = None) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            jobs = slurm("squeue", "--format=%i %T %r %M %N") + "\n" + slurm("sinfo", "--format=%n %T %E")
            said = logs(folder) if folder else ""
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}; SLURM says\n{jobs}\n{said}")
        time.sleep(0.1)


def wait_for_next_checkpoint(run: Run) -> None:
    """Until the run has saved, again if it did before. Two ranks that share two busy cores begin slowly."""
    before = saved_at(run)
    wait_for(lambda: saved_at(run) > before, "a checkpoint", 150, run.path)


def saved_at(run: Run) -> int:
    try:
        return run.newest.stat().st_mtime_ns
    except OSError:
        return 0


def wait_for_end(job: str) -> str:
    """Its last state."""
    ended = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")
    wait_for(lambda: state_of(job) in ended, f"job {job} to end", 150)
    return state_of(job)
