"""Run work where the user wants it: in this process, in several on this machine, or as SLURM jobs.

``launch(jobs, config)`` is for stages, ``launch_array(array, config)`` for independent tasks and what finishes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from mammogan.attack.settings import EvaluateConfig, GenerateConfig
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.tasks import Series, Task
from mammogan.cluster.where import check_shared, choose, note, ranks_here, started_by_torchrun, workers_here
from mammogan.config import CadConfig, ComputeConfig, GanConfig, Resolution, UserError, Workspace

Computes = TypeVar("Computes", ComputeConfig, GenerateConfig, EvaluateConfig)
"""Settings that say on which device to compute."""


@dataclass(frozen=True)
class Job:
    """One stage's work."""

    name: str
    """Short and without blanks, such as cad-1024x832."""
    task: Task
    folder: Path
    """Its run folder; the scheduler's files go to submit/ in it."""
    complete: Path
    """What is there once the work is done, and not before."""
    pairs: int = 1
    """What its ranks share evenly; 1 for work of one process."""
    check: Callable[[], None] | None = None
    """Raises MissingInput when the work cannot begin yet; not asked when other jobs will make the input first."""
    settings: Callable[[], None] | None = None
    """Raises UserError when the work would refuse its settings; asked before submission, not hours later in a log."""
    after: str = ""
    """Name of the one of the jobs launched with it that has to end well first; empty when it can begin at once."""
    asks: str | None = None
    """Of a study's stage, what of its command decides what is made; recorded with its jobs."""


@dataclass(frozen=True)
class Array:
    """Independent tasks of one process each, safe to repeat, and the job that follows when all are done."""

    name: str
    tasks: Sequence[Task]
    folder: Path
    finish: Job
    at_once: int = 64
    """Tasks that run at the same time on SLURM."""
    makes: Sequence[str] = ()
    """What each task makes, by name, for who watches them."""
    recorded: Sequence[Path] = ()
    """Folders besides its own in which jobs may be recorded that do the same work."""


def launch(jobs: Sequence[Job], config: ClusterConfig) -> int:
    """Run the jobs in order here, or submit them all; exit code 0 when they did well, or are on their way."""
    for job in jobs:
        if job.check:
            job.check()
    if len(jobs) > 1 and started_by_torchrun():
        names = ", ".join(job.name for job in jobs)
        raise UserError(f"torchrun's ranks can meet for one training, not for {names}: choose one")
    where = choose(config)
    if where.name == "slurm":
        from mammogan.cluster import submit

        note(f"--cluster slurm ({where.why})")
        return submit.jobs(jobs, config)
    for job in jobs:
        if code := _run_here(job, config, where.name, where.why):
            return code
    return 0


def launch_array(array: Array, config: ClusterConfig) -> int:
    """Run the tasks, then ``finish``: here, shared out over local processes, or as a SLURM array and a job after it."""
    where = choose(config)
    if where.name == "slurm":
        from mammogan.cluster import submit

        note(f"--cluster slurm ({where.why})")
        return submit.array(array, config)
    workers = min(workers_here(config), len(array.tasks)) if where.name == "local" else 1
    doing = f"{len(array.tasks)} task(s) of {array.name} in {max(1, workers)} process(es)"
    if config.dry_run:
        note(f"--cluster {where.name} ({where.why}): would run {doing}, then {array.finish.name}")
        return 0
    note(f"--cluster {where.name} ({where.why}): {doing}")
    if workers > 1:
        from mammogan.cluster import local

        shares = [Series(array.tasks[n::workers]) for n in range(workers)]
        environments = [{"LOCAL_RANK": str(n)} for n in range(workers)]
        code = local.run_side_by_side(shares, environments, array.folder / "submit" / "local")
        if code:
            return code
    else:
        Series(array.tasks)()
    array.finish.task()
    return 0


def choose_resolution(text: str, workspace: Workspace) -> Resolution:
    """``text``, or for 'auto' the highest resolution that has shards, high when there is none; says what it chose."""
    if text != "auto":
        return Resolution.parse(text)
    found = workspace.resolutions()
    chosen = found[0] if found else Resolution.parse("high")
    if len(found) > 1:
        note(f"--resolution {chosen}, the highest of those that have shards: {', '.join(map(str, found))}")
    elif found:
        note(f"--resolution {chosen}, the only one that has shards")
    return chosen


def on_asked_device(compute: Computes, cluster: ClusterConfig) -> Computes:
    """CPU for work whose ranks were asked for on CPU cores."""
    if not cluster.on_cpu:
        return compute
    if compute.device == "cuda":
        raise UserError("cuda as device contradicts --cpu-ranks (or --gpus-per-node 0): leave one out")
    return replace(compute, device="cpu")


def _run_here(job: Job, config: ClusterConfig, name: str, why: str) -> int:
    if config.dry_run:
        note(f"--cluster {name}: would run {job.name} here")
        return 0
    if name == "none":
        _check_alone(config)
        note(f"--cluster none ({why}): {job.name} in this process")
        return _called(job.task)
    ranks = ranks_here(config, job.pairs)
    check_shared(job.pairs, ranks)
    note(f"--cluster local ({why}): {job.name} with {ranks} rank{'s' * (ranks > 1)} on this machine")
    if ranks == 1:
        return _called(job.task)
    from mammogan.cluster import local

    return local.run_ranks(job.task, ranks, job.folder / "submit" / "local")


def _check_alone(config: ClusterConfig) -> None:
    asked = max(config.cpu_ranks or 1, config.gpus_per_node or 1)
    if asked > 1 and not started_by_torchrun():
        raise UserError(
            f"--cluster none is this process, one rank, and {asked} are asked for: "
            "use --cluster local, or start it with torchrun"
        )


def _called(task: Task) -> int:
    task()
    return 0


def refuse_other_settings(run: Path, config: CadConfig | GanConfig) -> None:
    """UserError when the run was begun with settings that learn something else than ``config``."""
    if (run / "config.yaml").is_file():
        from mammogan.training.checkpoint import Run
        from mammogan.training.inputs import named_weights

        Run(run).check(config, named_weights(config))


def for_one_process(config: ClusterConfig, gpus: int) -> ClusterConfig:
    """The same requests for work of one process with ``gpus`` GPUs, 0 or 1."""
    if gpus == 0 or config.on_cpu:
        return replace(config, nodes=1, cpu_ranks=1, gpus_per_node=None, gres=None)
    gres = re.sub(r"\bgpu((?::[A-Za-z]\w*)?)(?::\d+)?", r"gpu\1:1", config.gres) if config.gres else None
    return replace(config, nodes=1, gpus_per_node=1, gres=gres)
