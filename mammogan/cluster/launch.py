"""Runs work where the user wants it: in this process, in several on this machine, or as SLURM jobs.

``launch(jobs, config)`` is for stages, ``launch_array(array, config)`` for independent tasks and the job that follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.cluster import local
from mammogan.cluster.backend import check_shared, choose, ranks_here, started_by_torchrun, workers_here
from mammogan.cluster.job import Array, Job
from mammogan.cluster.slurm import submit
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Series
from mammogan.config import ComputeConfig
from mammogan.errors import UserError
from mammogan.io.terminal import say_on_stderr

Computes = TypeVar("Computes", ComputeConfig, GenerateConfig, EvaluateConfig)
"""Settings with a field ``device``."""


def launch(jobs: Sequence[Job], config: ClusterConfig) -> int:
    """Run the jobs in order here, or submit them all; return 0 when they succeeded or were submitted."""
    for job in jobs:
        if job.check:
            job.check()
    if len(jobs) > 1 and started_by_torchrun():
        names = ", ".join(job.name for job in jobs)
        raise UserError(f"torchrun's ranks can meet for one training, not for {names}: choose one")
    backend = choose(config)
    if backend.name == "slurm":
        say_on_stderr(str(backend))
        return submit.jobs(jobs, config)
    for job in jobs:
        if code := _run_here(job, config, backend.name, backend.why):
            return code
    return 0


def launch_array(array: Array, config: ClusterConfig) -> int:
    """Run the tasks, then ``finish``: here, divided among local processes, or as a SLURM array and a job after it."""
    backend = choose(config)
    if backend.name == "slurm":
        say_on_stderr(str(backend))
        return submit.array(array, config)
    workers = min(workers_here(config), len(array.tasks)) if backend.name == "local" else 1
    doing = f"{len(array.tasks)} task(s) of {array.name} in {max(1, workers)} process(es)"
    if config.dry_run:
        say_on_stderr(f"{backend}: would run {doing}, then {array.finish.name}")
        return 0
    say_on_stderr(f"{backend}: {doing}")
    if workers > 1:
        shares = [Series(array.tasks[n::workers]) for n in range(workers)]
        environments = [{"LOCAL_RANK": str(n)} for n in range(workers)]
        if code := local.run_side_by_side(shares, environments, array.folder / "submit" / "local"):
            return code
    else:
        Series(array.tasks)()
    array.finish.task()
    return 0


def on_requested_device(compute: Computes, cluster: ClusterConfig) -> Computes:
    """Return the settings with the CPU as device if the ranks were requested on CPU cores."""
    if not cluster.on_cpu:
        return compute
    if compute.device == "cuda":
        raise UserError("cuda as device contradicts --cpu-ranks (or --gpus-per-node 0): leave one out")
    return replace(compute, device="cpu")


def _run_here(job: Job, config: ClusterConfig, name: str, why: str) -> int:
    """Run one job on this machine; return its exit code."""
    if config.dry_run:
        say_on_stderr(f"--cluster {name}: would run {job.name} here")
        return 0
    if name == "none":
        _check_alone(config)
        ranks, how = 1, "in this process"
    else:
        ranks = ranks_here(config, job.pairs)
        check_shared(job.pairs, ranks)
        how = f"with {ranks} rank{'s' * (ranks > 1)} on this machine"
    say_on_stderr(f"--cluster {name} ({why}): {job.name} {how}")
    if ranks == 1:
        job.task()
        return 0
    return local.run_ranks(job.task, ranks, job.folder / "submit" / "local")


def _check_alone(config: ClusterConfig) -> None:
    """Raise UserError when several ranks are requested of this single process."""
    ranks = max(config.cpu_ranks or 1, config.gpus_per_node or 1)
    if ranks > 1 and not started_by_torchrun():
        raise UserError(
            f"--cluster none is this process, one rank, and {ranks} are requested: "
            "use --cluster local, or start it with torchrun"
        )
