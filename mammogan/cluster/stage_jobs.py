"""Stages of the study as jobs of a cluster, and what their trainings would refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from mammogan.cluster.front_door import FrontDoor
from mammogan.cluster.launch import Array, Job, for_one_process
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.shares import share_commands
from mammogan.cluster.study import Recorded, Stage, inputs_of
from mammogan.cluster.tasks import Command, TrainCad
from mammogan.command_line import parse
from mammogan.config import OBJECTIVES, CadConfig, Direction, GanConfig, Resolution, UserError, Workspace

Work = Job | Array


def job_of(stage: Stage, stages: Sequence[Stage], workspace: Workspace) -> tuple[Job, ClusterConfig]:
    """A stage as SLURM gets it: a training itself, so that it can be requeued, or its command as one process."""
    folder, job, requests = workspace.root / "study", _training(stage), stage.cluster
    if job is None:
        job = Job(stage.name, Command(stage.command, stage.fine), folder / stage.name, stage.makes[-1])
        requests = for_one_process(stage.cluster, stage.gpus)
    task = Recorded(job.task, stage, inputs_of(stage, stages), folder)
    return dataclasses.replace(job, task=task, asks=stage.asked), requests


def work_of(stages: Sequence[Stage], workspace: Workspace, stage: Stage, done: Set[str]) -> tuple[Work, ClusterConfig]:
    """``job_of`` a stage, for work on shards after an array. That is of the shards which are not up to date, as its
    front door by hand would submit it, where all that the stage needs is ``done``; before, of shares of all of them."""
    job, requests = job_of(stage, stages, workspace)
    if not stage.shards:
        return job, requests
    last = dataclasses.replace(job, name=f"{job.name}-{stage.last}")
    if not done >= set(stage.needs):
        shares = share_commands(stage.command, len(stage.shards))
        return Array(job.name, shares, job.folder, last, makes=stage.shards), requests
    door, options = _front_door(stage)
    arrays = door.arrays(options) if door.arrays else []
    if not arrays:
        return last, for_one_process(stage.cluster, 0)
    [left] = arrays
    return dataclasses.replace(left, name=job.name, folder=job.folder, finish=last), requests


def check_trainings(stages: Sequence[Stage], done: set[str], workspace: Workspace) -> None:
    """UserError, before anything runs, where a training would refuse its settings or leave others behind.

    Every run that is there must have been begun with what the study asks for, whoever began it. A CAD that is not
    ``done`` may not be trained on while GANs are there that were begun against it: they could not go on afterwards.
    """
    for stage in stages:
        job = _training(stage)
        if job and job.settings:
            job.settings()
        if job and isinstance(job.task, TrainCad) and stage.name not in done:
            _refuse_leaving_gans(job.folder, job.task.config, workspace)


def goes_on_by_itself(run: Path, config: CadConfig | GanConfig) -> bool:
    """Whether the same training would go on, being asked for more or less than its run has; False where it says
    nothing."""
    if not (run / "config.yaml").is_file():
        return False
    from mammogan.training.checkpoint import Run

    return not Run(run).is_finished(config)


def _refuse_leaving_gans(cad: Path, config: CadConfig, workspace: Workspace) -> None:
    size = Resolution.parse(config.resolution)
    runs = [workspace.of(objective).gan_run(size, direction) for objective in OBJECTIVES for direction in Direction]
    begun = [run for run in runs if (run / "config.yaml").is_file()]
    if begun and (not (cad / "done.json").is_file() or goes_on_by_itself(cad, config)):
        raise UserError(
            f"{cad.name} would be trained for {config.epochs} epochs, which it was not so far, and "
            f"{' and '.join(run.name for run in begun)} could not go on afterwards, being begun against it as it is. "
            "Nothing was touched. Ask for the epochs that it has, give another --workspace, or remove first:\n"
            + "\n".join(f"  {run}" for run in begun)
        )


def _training(stage: Stage) -> Job | None:
    """The job of a stage whose front door says what it would launch."""
    door, options = _front_door(stage)
    if not door.jobs:
        return None
    [job] = door.jobs(options)
    return job


def _front_door(stage: Stage) -> tuple[FrontDoor, Any]:
    """With the options that its command line means."""
    _, _, script, *words = stage.command
    door = FrontDoor.load(Path(script))
    return door, parse(door.options, words)
