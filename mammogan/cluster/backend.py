"""Decides where work runs and with how many ranks, and says why."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import Literal

from mammogan.cluster.slurm.commands import output_of
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.errors import UserError

ANSWER_SECONDS = (5.0, 20.0, 60.0)
"""How long sinfo may take to answer, each time that it is asked: a busy controller misses one call, not all."""
PAUSE_SECONDS = 2.0
"""Pause before it is asked again."""
UNCONFIGURED = "configuration source"
"""In the error of SLURM's commands where they are installed and no cluster is configured."""


@dataclass(frozen=True)
class Backend:
    """Where work runs, and the reason that is shown to the user."""

    name: Literal["none", "local", "slurm"]
    why: str

    def __str__(self) -> str:
        return f"--cluster {self.name} ({self.why})"


def choose(config: ClusterConfig) -> Backend:
    """Return where ``--cluster`` means to run; UserError where that is not possible here."""
    backend = _automatic(config) if config.cluster == "auto" else _as_asked(config.cluster, config)
    if backend.name != "slurm" and config.nodes > 1 and not started_by_torchrun():
        raise UserError(
            f"--nodes {config.nodes} needs SLURM, and this is {backend}; on one machine "
            "give --gpus-per-node N or --cpu-ranks N, inside an allocation use slurm/torchrun.sh, "
            "to see the job add --dry-run"
        )
    return backend


def started_by_torchrun() -> bool:
    """Return whether this process has a rank from torchrun (or from our own launcher)."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def _as_asked(name: Literal["none", "local", "slurm"], config: ClusterConfig) -> Backend:
    if name == "slurm" and not config.dry_run and (problem := slurm_problem()):
        raise UserError(f"--cluster slurm: {problem}; try --cluster local, or --dry-run to see the job")
    if name == "local" and started_by_torchrun():
        raise UserError("--cluster local starts ranks, and torchrun has started this one: use --cluster none")
    return Backend(name, "as requested")


def _automatic(config: ClusterConfig) -> Backend:
    if config.dry_run:
        return Backend("slurm", "a dry run shows its job")
    if started_by_torchrun():
        return Backend("none", "torchrun started this process")
    job = os.environ.get("SLURM_JOB_ID")
    if job and on_node_of_job():
        return Backend("local", f"already inside SLURM job {job}")
    # A shell started by salloc runs on the machine where salloc was called, not on the allocation's nodes.
    aside = f"; this is not on the nodes of salloc's job {job}: slurm/torchrun.sh or srun uses them" if job else ""
    problem = slurm_problem()
    if problem and "not installed" not in problem and UNCONFIGURED not in problem:
        raise UserError(
            f"{problem}, also when asked again, and sbatch is installed here: expected to submit a job. Try again, or "
            "give --cluster local to compute on this machine"
        )
    return Backend("local", problem + aside) if problem else Backend("slurm", f"sbatch and sinfo answer{aside}")


def on_node_of_job() -> bool:
    """Return whether this process runs on a node of its SLURM job.

    SLURM sets these variables in a batch script and in a step.
    """
    return "SLURM_PROCID" in os.environ or "SLURM_STEP_ID" in os.environ


def slurm_problem() -> str:
    """Return why no job can be submitted from here; empty when one can. sinfo is asked several times."""
    if not shutil.which("sbatch"):
        return "sbatch is not installed here"
    problem = ""
    for number, seconds in enumerate(ANSWER_SECONDS):
        time.sleep(PAUSE_SECONDS if number else 0)
        try:
            output_of("sinfo", "--noheader", "--format=%P", seconds=seconds)
            return ""
        except UserError as error:
            problem = str(error)
        if UNCONFIGURED in problem:
            break
    return problem


def ranks_here(config: ClusterConfig, pairs: int) -> int:
    """Return how many ranks to start on this machine for work whose ranks share a batch of ``pairs``."""
    if pairs == 1:
        return 1
    workers = workers_here(config)
    if config.on_cpu or config.gpus_per_node is not None:
        return workers
    return max(n for n in range(1, workers + 1) if pairs % n == 0)


def workers_here(config: ClusterConfig) -> int:
    """Return the number of processes requested on this machine: CPU ranks or GPUs, else one for each visible GPU."""
    if config.on_cpu:
        return config.cpu_ranks or 1
    if config.gpus_per_node is None:
        return max(1, visible_gpus())
    if config.gpus_per_node > (visible := visible_gpus()):
        raise UserError(
            f"--gpus-per-node {config.gpus_per_node}: {visible} GPUs are visible here; "
            "give --cpu-ranks N to compute on CPU cores"
        )
    return config.gpus_per_node


def visible_gpus() -> int:
    import torch

    return torch.cuda.device_count()


def check_shared(pairs: int, ranks: int) -> None:
    """Raise UserError when the ranks cannot share a batch evenly: their number must not change the result."""
    if pairs % ranks:
        legal = ", ".join(str(n) for n in range(1, pairs + 1) if pairs % n == 0)
        raise UserError(
            f"a batch of {pairs} pairs cannot be shared by {ranks} ranks; legal numbers of ranks are {legal}, "
            "or give another --pairs (it changes the result, ranks do not)"
        )
