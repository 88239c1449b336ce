"""Submits the studies of a cross-validation to SLURM, and a job after all their evaluations that pools them.

Every study is submitted as mammogan study does it: adversarial mammograms and scores are arrays with a task for each
shard, and each training is a job of its own. One stage of all studies is no array, for three reasons. A training goes
back to the queue at its time limit and is looked up by its own number in its own folder, so that one that failed can be
submitted again while the others run; a task of an array has no number that could be recorded before it starts. A stage
that waits for an array waits for all of its tasks, so the slowest fold would hold all others, and a failed one would
stop them. And sites count the tasks of an array as jobs, so nothing is gained.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path

from mammogan.cluster.job import Array, Job
from mammogan.cluster.slurm.expected_start import tell_expected_start
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.slurm.wait import Submitted
from mammogan.crossvalidation.fold_study import EVALUATION, FoldStudy
from mammogan.io.terminal import say
from mammogan.study.given_cad import record_given_cad
from mammogan.study.stage import Stage, done_before, tree
from mammogan.study.stage_jobs import check_stages, job_of, work_of
from mammogan.study.submit import StudyJobs, scripts, submit_stages
from mammogan.workspace import Workspace

Work = Job | Array


def submit_all(studies: Sequence[FoldStudy], pool: Stage, root: Path) -> list[Submitted]:
    """Submit the stages of all studies that are neither done, queued nor running, then the job that pools; return all
    jobs that must end before everything has ended.

    UserError, before anything is submitted, if a training would refuse its settings. If SLURM refuses a job, those that
    were submitted before stay: the same command submits the rest.
    """
    for study in studies:
        check_stages(study.stages, done_before(study.stages), study.workspace, study.plan.hashes.of)
    awaited: dict[str, Submitted] = {}
    found: dict[str, StudyJobs] = {}
    for study in studies:
        study.link_shards()
        record_given_cad(study.workspace, study.plan.cad)
        # Only now, since the shards of the fold may have been submitted, or made, for an earlier seed.
        done = done_before(study.stages)
        jobs = {stage.name: job_of(stage, study.stages, study.workspace)[0] for stage in study.stages}
        submitted = found[study.name] = submit_stages(study.stages, done, _work_of(study), jobs)
        say(f"\n{study.place}: {study.workspace.root}\n{tree(study.stages, submitted.state_of)}")
        awaited |= {job.job_id: job for job in submitted.awaited(jobs)}
    return [*awaited.values(), *_submit_pool(pool, root, found)]


def _submit_pool(pool: Stage, root: Path, found: dict[str, StudyJobs]) -> list[Submitted]:
    """Submit the job that pools after all evaluations; not if one of them cannot be completed by the jobs there are."""
    ended = "run the same command again when all jobs have ended"
    held = [name for name, jobs in found.items() if EVALUATION in jobs.held or _never_completes(jobs)]
    if held:
        say(f"\n{pool.name}: not submitted, since jobs of {', '.join(held)} must be submitted again first: {ended}")
        return []
    evaluations = [number for jobs in found.values() for number in jobs.completing(EVALUATION)]
    job, requests = job_of(pool, [pool], Workspace(root))
    after = requests.after_success(evaluations)
    done = set() if evaluations else done_before([pool])
    submitted = submit_stages([pool], done, lambda stage, done: (job, after), {pool.name: job})
    say(f"\n{tree([pool], submitted.state_of)}")
    newer = [name for name, jobs in found.items() if EVALUATION in jobs.jobs]
    if pool.name in submitted.before and newer:
        say(f"it was submitted before and does not wait for the new evaluation of {', '.join(newer)}: {ended}")
    return submitted.awaited({pool.name: job})


def _never_completes(jobs: StudyJobs) -> bool:
    return EVALUATION in jobs.before and not jobs.completing(EVALUATION)


def show(studies: Sequence[FoldStudy], pool: Stage, root: Path) -> None:
    """Print the sbatch scripts of all stages that are not done, and on stderr what SLURM would do with those of the
    first study, which the others resemble. The shards of a fold are shown once."""
    shown: list[list[str]] = []
    folds: set[int] = set()
    unfinished = []
    for study in studies:
        done = done_before(study.stages)
        check_stages(study.stages, done, study.workspace, study.plan.hashes.of)
        once = [stage for stage in study.stages if stage.runs != "make-shards" or study.fold.number not in folds]
        folds.add(study.fold.number)
        of_study = [_with_names(text, study) for text in scripts(once, done, _work_of(study))]
        say("\n".join([f"# {study.place}", *of_study]))
        shown.append(of_study)
        unfinished += [] if EVALUATION in done else [f"JOB-{study.name}-{EVALUATION}"]
    job, requests = job_of(pool, [pool], Workspace(root))
    done = set() if unfinished else done_before([pool])
    last = scripts([pool], done, lambda stage, done: (job, requests.after_success(unfinished)))
    say("\n".join(["# all folds and seeds", *last]))
    tell_expected_start([*next(filter(None, shown), []), *last])


def _with_names(script: str, study: FoldStudy) -> str:
    """Return a script in which the jobs it waits for have the names of this study's jobs, or of its fold's shards."""
    script = script.replace(":JOB-shards", f":JOB-{study.of_fold.workspace.root.name}-shards")
    return re.sub(r":JOB-(?!fold-)", f":JOB-{study.name}-", script)


def _work_of(study: FoldStudy) -> Callable[[Stage, Set[str]], tuple[Work, ClusterConfig]]:
    """Return the function that makes a stage's work, named after the study, or for shards after the fold."""
    of_stage = partial(work_of, study.stages, study.workspace, digest=study.plan.hashes.of)

    def named(stage: Stage, done: Set[str]) -> tuple[Work, ClusterConfig]:
        work, requests = of_stage(stage, done)
        owner = study.of_fold.workspace.root.name if stage.runs == "make-shards" else study.name
        if isinstance(work, Array):
            work = replace(work, finish=replace(work.finish, name=f"{owner}-{work.finish.name}"))
        return replace(work, name=f"{owner}-{work.name}"), requests

    return named
