"""Submits the stages of a study, each with afterok on the stages it needs. Stages that are queued or running are
skipped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from mammogan.cluster.job import Array, Job
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.slurm.submit import array_scripts, script, submit, submit_array
from mammogan.cluster.slurm.wait import Submitted, ids_in_words
from mammogan.errors import UserError
from mammogan.study.active_jobs import ActiveJobs, active_jobs
from mammogan.study.outdated import other_options
from mammogan.study.stage import Stage, inputs_ready

WorkOf = Callable[[Stage, Set[str]], tuple[Job | Array, ClusterConfig]]
"""Returns a stage as SLURM gets it, given the names of the stages that are done."""


@dataclass
class StudyJobs:
    """The jobs of the stages that are not done."""

    jobs: dict[str, list[Submitted]] = field(default_factory=dict)
    """By stage, the submitted jobs; the stage is done after the last one."""
    before: dict[str, ActiveJobs] = field(default_factory=dict)
    """By stage, jobs that were queued or running before; they were left alone."""
    held: dict[str, list[str]] = field(default_factory=dict)
    """By stage, the needed stages that must end before it can be submitted."""

    def state_of(self, stage: Stage) -> str:
        """Return a stage's jobs, what it waits for, or 'done'."""
        if stage.name in self.jobs:
            return ids_in_words(self.jobs[stage.name])
        if stage.name in self.before:
            return self.before[stage.name].in_words
        return f"waits for {', '.join(self.held[stage.name])}" if stage.name in self.held else "done"

    def completing(self, need: str) -> Sequence[str]:
        """Return the jobs after which a stage is done; none when it is done, or cannot be with these jobs."""
        if need in self.jobs:
            return [self.jobs[need][-1].job_id]
        return self.before[need].completing if need in self.before else ()

    def awaited(self, jobs: Mapping[str, Job]) -> list[Submitted]:
        """Return all jobs that must end before the study has ended."""
        before = [
            Submitted(number, name, *submission.files_of(number), jobs[name].complete)
            for name, found in self.before.items()
            for number, submission in zip(found.completing, found.submissions, strict=False)
        ]
        return [*before, *(job for of_stage in self.jobs.values() for job in of_stage)]


def scripts(stages: Sequence[Stage], done: Set[str], work_of: WorkOf) -> list[str]:
    """Return the sbatch scripts of the stages that are not done, as if none were queued or running."""
    found = []
    for stage in stages:
        if stage.name not in done:
            work, config = work_of(stage, done)
            config = config.after_success([f"JOB-{need}" for need in stage.needs if need not in done])
            found += array_scripts(work, config) if isinstance(work, Array) else [script(work, config)]
    return found


def submit_stages(stages: Sequence[Stage], done: Set[str], work_of: WorkOf, jobs: Mapping[str, Job]) -> StudyJobs:
    """Submit, in order, the stages that are neither ``done`` nor queued or running.

    ``jobs``: the jobs of all stages. UserError, before anything is submitted, when a queued or
    running job has other settings than those requested now, or uses files that would be made again.
    """
    folders = {stage.name: dict.fromkeys((jobs[stage.name].folder, *stage.recorded)) for stage in stages}
    found = StudyJobs(before=active_jobs(folders))
    never_done = {name for name, jobs_of_stage in found.before.items() if not jobs_of_stage.completing}
    going: dict[str, tuple[Job | Array, ClusterConfig]] = {}
    for stage in stages:
        if stage.name in found.before:
            makes_again = [need for need in stages if need.name in going and need.name in stage.needs]
            again = [need.name for need in makes_again if not inputs_ready(stage, need, stages, done)]
            _check(jobs[stage.name], found.before[stage.name], again)
        elif stage.name not in done:
            if held := [need for need in stage.needs if need in found.held or need in never_done]:
                found.held[stage.name] = held
            else:
                going[stage.name] = work_of(stage, done - found.before.keys())
    for stage in stages:
        if stage.name in going:
            work, config = going[stage.name]
            config = config.after_success([number for need in stage.needs for number in found.completing(need)])
            found.jobs[stage.name] = submit_array(work, config) if isinstance(work, Array) else [submit(work, config)]
    return found


def _check(stage: Job, jobs: ActiveJobs, remade: Sequence[str]) -> None:
    """Raise UserError when a stage's queued or running jobs do not fit the job that is requested now."""
    changes = [other_options(one.requested or {}, stage.requested or {}) for one in jobs.submissions]
    wrong = [f"was {changed}" for changed in changes if changed]
    wrong += [f"uses results that {', '.join(remade)} would make again"] if remade else []
    if wrong:
        raise UserError(
            f"job {', '.join(jobs.job_ids)} ({stage.name}) is queued or running and {wrong[0]}. Wait until it ends, or "
            f"cancel it and run the same command again:\n  scancel {' '.join(jobs.job_ids)}"
        )
