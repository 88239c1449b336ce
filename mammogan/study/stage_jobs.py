"""Turns stages of a study into jobs of a cluster, and checks beforehand what they would refuse."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence, Set

from mammogan.cluster.job import Array, Job
from mammogan.cluster.slurm.profile import ClusterConfig, for_one_process
from mammogan.cluster.tasks import Command, TrainCad, TrainGan
from mammogan.io.atomic import Digest, sha256
from mammogan.study.commands import StudyCommand
from mammogan.study.early_refusals import refuse_mixed_split
from mammogan.study.shares import share_commands
from mammogan.study.stage import CompletingTask, Stage, inputs_of
from mammogan.training.run.preflight import check_named_cad, refuse_leaving_gans
from mammogan.workspace import Workspace

Work = Job | Array


def job_of(stage: Stage, stages: Sequence[Stage], workspace: Workspace) -> tuple[Job, ClusterConfig]:
    """Return a stage as a job for SLURM, with its requests.

    A training is the job itself, so that it can be requeued; any other stage is its command as one process.
    """
    job, requests = _training(stage), stage.cluster
    if job is None:
        folder = workspace.root / "study" / stage.name
        job = Job(stage.name, Command(stage.command, stage.success_codes), folder, stage.makes[-1])
        requests = for_one_process(stage.cluster, stage.gpus)
    task = CompletingTask(job.task, stage.name, stage.makes, inputs_of(stage, stages))
    return dataclasses.replace(job, task=task, requested=stage.requested), requests


def work_of(
    stages: Sequence[Stage], workspace: Workspace, stage: Stage, done: Set[str], digest: Digest = sha256
) -> tuple[Work, ClusterConfig]:
    """Return a stage as ``job_of`` does, or for work on shards an array and that job after it.

    If all stages it needs are ``done``, the array has the shards that are not up to date, as the command itself would
    submit them; otherwise it has shares of all shards.
    """
    job, requests = job_of(stage, stages, workspace)
    if not stage.shards:
        return job, requests
    last = dataclasses.replace(job, name=f"{job.name}-{stage.last}")
    if not done >= set(stage.needs):
        shares = share_commands(stage.command, len(stage.shards))
        return Array(job.name, shares, job.folder, last, makes=stage.shards), requests
    command = StudyCommand.load(stage.runs)
    arrays = command.arrays(stage.options, digest) if command.arrays else []
    if not arrays:
        return last, for_one_process(stage.cluster, 0)
    [left] = arrays
    return dataclasses.replace(left, name=job.name, folder=job.folder, finish=last), requests


def check_stages(stages: Sequence[Stage], done: set[str], workspace: Workspace, digest: Digest = sha256) -> None:
    """Raise UserError, before anything runs, if a training would refuse its settings or make other trainings unusable,
    or if an evaluation would refuse its mammograms.

    Every existing run must have been begun with the settings of this study, by the study or manually. A CAD that is not
    ``done`` must not be trained further while GANs exist that were begun against it: they could not resume afterwards.
    A CAD from outside (--cad) must be one that generators can be trained against.
    """
    for stage in stages:
        job = _training(stage, digest)
        if job and job.settings:
            job.settings()
        if job and isinstance(job.task, TrainCad) and stage.name not in done:
            refuse_leaving_gans(job.folder, job.task.config, workspace)
        if job and isinstance(job.task, TrainGan) and job.task.config.cad and stage.name not in done:
            check_named_cad(job.task.config, workspace)
        if stage.runs == "evaluate" and stage.name not in done:
            refuse_mixed_split(stage, workspace)


def _training(stage: Stage, digest: Digest = sha256) -> Job | None:
    """Return the job of a stage whose command says what it would launch; None for other stages."""
    command = StudyCommand.load(stage.runs)
    if not command.jobs:
        return None
    [job] = command.jobs(stage.options, digest)
    return job
