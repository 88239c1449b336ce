"""StudyJobs of a study's stages, each after those that it needs, beside those that are on their way already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from mammogan.cluster.asked import differences
from mammogan.cluster.launch import Array, Job
from mammogan.cluster.on_their_way import OnTheirWay, on_their_way
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.study import Stage, stands_for
from mammogan.cluster.submit import array_scripts, script, submit, submit_array
from mammogan.cluster.submitted import Submitted, ids_told
from mammogan.config import UserError

WorkOf = Callable[[Stage, Set[str]], tuple[Job | Array, ClusterConfig]]
"""A stage as SLURM gets it, by what is done."""


@dataclass
class StudyJobs:
    """What became of the stages that are not done."""

    jobs: dict[str, list[Submitted]] = field(default_factory=dict)
    """Of those that were submitted, with the job last after which the stage is done."""
    before: dict[str, OnTheirWay] = field(default_factory=dict)
    """Of those whose jobs wait or run; they were left alone."""
    held: dict[str, list[str]] = field(default_factory=dict)
    """Those that cannot be submitted before what they need has ended, which is named."""

    def told(self, stage: Stage) -> str:
        """Its jobs, what it waits for, or 'done'."""
        if stage.name in self.jobs:
            return ids_told(self.jobs[stage.name])
        if stage.name in self.before:
            return self.before[stage.name].told
        return f"waits for {', '.join(self.held[stage.name])}" if stage.name in self.held else "done"

    def awaited(self, jobs: Mapping[str, Job]) -> list[Submitted]:
        """All that the study's end waits for."""
        before = [
            Submitted(number, name, *submission.files_of(number), jobs[name].complete)
            for name, found in self.before.items()
            for number, submission in zip(found.completing, found.submissions, strict=False)
        ]
        return [*before, *(job for of_stage in self.jobs.values() for job in of_stage)]


def scripts(stages: Sequence[Stage], done: Set[str], work_of: WorkOf) -> list[str]:
    """What sbatch would get for the stages that are not done, if none is on its way."""
    found = []
    for stage in stages:
        if stage.name not in done:
            work, config = work_of(stage, done)
            config = _after([f"JOB-{need}" for need in stage.needs if need not in done], config)
            found += array_scripts(work, config) if isinstance(work, Array) else [script(work, config)]
    return found


def submit_stages(
    stages: Sequence[Stage], done: Set[str], work_of: WorkOf, jobs: Mapping[str, Job], folder: Path
) -> StudyJobs:
    """Submit, in order, the stages that are neither ``done`` nor on their way; ``jobs`` are those of all stages,
    ``folder`` is the study's.

    UserError, before anything is submitted, for jobs on their way that are not those that are asked for, or that use
    what is to be made anew.
    """
    folders = {stage.name: dict.fromkeys((jobs[stage.name].folder, *stage.recorded)) for stage in stages}
    found = StudyJobs(before=on_their_way(folders))
    going: dict[str, tuple[Job | Array, ClusterConfig]] = {}
    for stage in stages:
        if stage.name in found.before:
            remade = [need for need in stages if need.name in going and need.name in stage.needs]
            anew = [need.name for need in remade if not stands_for(stage, need, stages, done, folder)]
            _check(stage, found.before[stage.name], anew)
        elif stage.name not in done:
            if held := [need for need in stage.needs if need in found.held or _never_done(found.before.get(need))]:
                found.held[stage.name] = held
            else:
                going[stage.name] = work_of(stage, done - found.before.keys())
    for stage in stages:
        if stage.name in going:
            work, config = going[stage.name]
            config = _after([number for need in stage.needs for number in _completing(found, need)], config)
            found.jobs[stage.name] = submit_array(work, config) if isinstance(work, Array) else [submit(work, config)]
    return found


def _check(stage: Stage, jobs: OnTheirWay, made_anew: Sequence[str]) -> None:
    which, cancel = f"job {', '.join(jobs.job_ids)} ({stage.name})", f"  scancel {' '.join(jobs.job_ids)}"
    otherwise = "Wait until it ends, or cancel it and give the same command again:"
    for submission in jobs.submissions:
        if submission.asks and (changed := differences(submission.asks, stage.asked)):
            raise UserError(f"{which} is on its way and was asked for otherwise: {changed}. {otherwise}\n{cancel}")
    if made_anew:
        raise UserError(
            f"{which} is on its way and uses what {', '.join(made_anew)} would make anew. {otherwise}\n{cancel}"
        )


def _never_done(jobs: OnTheirWay | None) -> bool:
    """Whether these are on their way, and leave their stage undone."""
    return jobs is not None and not jobs.completing


def _completing(found: StudyJobs, need: str) -> Sequence[str]:
    """Jobs after which a stage is done; none when it is."""
    if need in found.jobs:
        return [found.jobs[need][-1].job_id]
    return found.before[need].completing if need in found.before else ()


def _after(ids: Sequence[str], config: ClusterConfig) -> ClusterConfig:
    return replace(config, dependency="afterok:" + ":".join(ids)) if ids else config
