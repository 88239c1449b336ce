"""Submits jobs to SLURM through submitit, and prints how to follow them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from mammogan.cluster.backend import check_shared
from mammogan.cluster.job import Array, Job
from mammogan.cluster.slurm.commands import NoAnswer, max_array
from mammogan.cluster.slurm.environment import contradicting, from_environment
from mammogan.cluster.slurm.expected_start import tell_expected_start
from mammogan.cluster.slurm.outcome import Recorded, outcome_file
from mammogan.cluster.slurm.profile import ClusterConfig, for_one_process, python, sbatch_parameters, sbatch_text
from mammogan.cluster.slurm.queue import granted, refuse_queued
from mammogan.cluster.slurm.rejection import in_one_line, refusal
from mammogan.cluster.slurm.submission_record import RECORD
from mammogan.cluster.slurm.unanswered import SCRIPTS, cancel_unanswered, is_unanswered, no_answer
from mammogan.cluster.slurm.wait import Submitted, waited
from mammogan.cluster.tasks import Series, Task
from mammogan.errors import UserError
from mammogan.io import atomic, provenance
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say, say_on_stderr

SHORT_MINUTES = 10
"""Up to this time limit, submitit counts a pre-emption as one of --max-requeues."""
RANK_NAMES = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE"),
    *("ROLE_WORLD_SIZE", "ROLE_NAME", "MASTER_ADDR"),
)
"""Environment variables that torchrun and our own launcher set for a rank."""


def jobs(found: Sequence[Job], config: ClusterConfig) -> int:
    """Submit each job, or print its script with --dry-run; wait for the jobs with --wait.

    Work that is done is submitted too: only the job itself can find out whether it was done with these settings.
    """
    for job in found:
        if job.settings:
            job.settings()
    if config.dry_run:
        show_scripts([script(job, _after(job, f"JOB-{job.after}", config)) for job in found])
        return 0
    refuse_queued({job.folder: job.name for job in found})
    submitted: dict[str, Submitted] = {}
    for job in found:
        needed = submitted[job.after].job_id if job.after else ""
        submitted[job.name] = submit(job, _after(job, needed, config))
    return waited(list(submitted.values())) if config.wait else 0


def _after(job: Job, needed: str, config: ClusterConfig) -> ClusterConfig:
    """Return the same requests, to begin after --dependency and after the ``needed`` job if the job has one."""
    both = [*([config.dependency] if config.dependency else []), f"afterok:{needed}"]
    return replace(config, dependency=",".join(both)) if job.after else config


def show_scripts(scripts: Sequence[str]) -> None:
    """Print sbatch scripts, and on stderr what SLURM would do with them."""
    say("\n".join(scripts))
    tell_expected_start(scripts)


def script(job: Job, config: ClusterConfig) -> str:
    """Return the sbatch script of one job."""
    _check_ranks(job, config)
    return sbatch_text(config, job.name, _folder(job.folder))


def _check_ranks(job: Job, config: ClusterConfig) -> None:
    """Raise UserError when the ranks cannot share the batch; note where fewer nodes would do."""
    check_shared(job.pairs, config.nodes * config.ranks_per_node)
    if config.nodes > 1 and config.ranks_per_node == 1 and not config.on_cpu:
        say_on_stderr(
            f"{job.name}: on one node, --gpus-per-node {config.nodes} does the same as --nodes {config.nodes}, faster"
        )


def submit(job: Job, config: ClusterConfig, after: Mapping[str, Sequence[str]] | None = None) -> Submitted:
    """Submit one job, record it in the run folder's launch.json, and print how to follow it.

    ``after``: the arrays that it waits for, by id, with what each of their tasks makes; they are recorded too.
    """
    _check_ranks(job, config)
    [handle] = _handed_over([job.task], job.name, _folder(job.folder), config)
    submitted = _submitted(handle, job.name, job.complete)
    given = _record(job.folder, [*(after or ()), submitted.job_id], job, config, after or {})
    _tell(submitted, job.folder, config, given)
    return submitted


def array(work: Array, config: ClusterConfig) -> int:
    """Submit the tasks as arrays no longer than the cluster allows, and a final job after all of them."""
    config = for_one_process(config, gpus=1)
    if config.dry_run:
        show_scripts(array_scripts(work, config))
        return 0
    refuse_queued(dict.fromkeys((work.folder, *work.recorded), work.name))
    submitted = submit_array(work, config)
    return waited(submitted) if config.wait else 0


def array_scripts(work: Array, config: ClusterConfig) -> list[str]:
    """Return the sbatch scripts of an array, in parts no longer than the cluster allows, and of the job after it."""
    parts = _parts(work, config)
    arrays = [sbatch_text(config, part.name, _array_folder(part), len(part.tasks), part.at_once) for part in parts]
    ids = [f"JOB-{work.name}" + (f"-{number}" if number else "") for number in range(len(parts))]
    after = for_one_process(config, gpus=0).after_success(ids)
    return [*arrays, sbatch_text(after, work.finish.name, _folder(work.finish.folder))]


def submit_array(work: Array, config: ClusterConfig) -> list[Submitted]:
    """Submit the tasks of an array and the job that follows; that job comes last in the list."""
    tasks: list[Submitted] = []
    makes: dict[str, Sequence[str]] = {}
    for part in _parts(work, config):
        handles = _handed_over(part.tasks, work.name, _array_folder(part), config, part.at_once)
        makes[handles[0].job_id.partition("_")[0]] = part.makes
        _record(work.folder, list(makes), replace(work.finish, name=work.name), config, makes)
        names = [f"{work.name}: {made}" if work.makes else work.name for made in part.makes]
        tasks += [_submitted(handle, name, None) for handle, name in zip(handles, names, strict=True)]
    ids = list(makes)
    say(f"submitted {len(tasks)} tasks of {work.name} as job {', '.join(ids)}; logs in {work.folder / 'submit'}")
    return [*tasks, submit(work.finish, for_one_process(config, gpus=0).after_success(ids), makes)]


def _submitted(handle: Any, name: str, complete: Path | None) -> Submitted:
    """Return what is known of a job that submitit has handed over."""
    log: Path = handle.paths.stdout
    return Submitted(handle.job_id, name, log, outcome_file(log.parent, handle.job_id), complete)


def _parts(work: Array, config: ClusterConfig) -> list[Array]:
    """Split the array into parts that the cluster allows; the parts share the number of tasks that may run at once."""
    work = _capped(work, config.tasks)
    longest, makes = max_array(), list(work.makes) or [work.name] * len(work.tasks)
    shares = [slice(first, first + longest) for first in range(0, len(work.tasks), longest)]
    return [
        replace(work, tasks=work.tasks[share], makes=makes[share], at_once=max(1, work.at_once // len(shares)))
        for share in shares
    ]


def _capped(work: Array, most: int | None) -> Array:
    """Return the array with at most ``most`` tasks, each of which does the work of several one after the other."""
    if most is None or len(work.tasks) <= most:
        return work
    size = -(-len(work.tasks) // most)
    shares = [slice(first, first + size) for first in range(0, len(work.tasks), size)]
    made = [work.makes[share] for share in shares]
    makes = [f"{names[0]} to {names[-1]}" if len(names) > 1 else names[0] for names in made if names]
    return replace(work, tasks=[Series(work.tasks[share]) for share in shares], makes=makes)


def _folder(run: Path, job: str = "%j") -> Path:
    """Return the folder of a job's submission files; SLURM replaces %j by the job's id."""
    return run.absolute() / "submit" / job


def _array_folder(part: Array) -> Path:
    """Return one folder for all tasks of an array; submitit makes a plain job of a single task."""
    return _folder(part.folder, "%A" if len(part.tasks) > 1 else "%j")


def _handed_over(
    tasks: Sequence[Task], name: str, folder: Path, config: ClusterConfig, at_once: int = 256
) -> list[Any]:
    """Submit the tasks with submitit, several as one array. A refusal by sbatch is a UserError with sbatch's words."""
    import submitit

    if config.max_requeues and sbatch_parameters(config, name)["time"] <= SHORT_MINUTES:
        say_on_stderr(
            f"--time {config.time}: with a limit this short every pre-emption counts as one of --max-requeues"
        )
    cancel_unanswered(folder.parent)
    executor = submitit.SlurmExecutor(folder, max_num_timeout=config.max_requeues, python=python())
    executor.update_parameters(**sbatch_parameters(config, name), array_parallelism=at_once)
    overriding = contradicting(sbatch_text(config, name, folder, len(tasks) if len(tasks) > 1 else None, at_once))
    stale = "SLURM_" if "SLURM_JOB_ID" in os.environ else "-"  # variables of the job from which this one is submitted
    if left_out := [f"{key}={value}" for key, value in overriding.items() if not key.startswith(stale)]:
        say_on_stderr(f"{name}: the environment would override what is asked for; left out: {', '.join(left_out)}")
    with _without(overriding), _nothing_left_of_a_refusal(folder.parent), redirect_stderr(StringIO()):
        try:
            return list(executor.submit_array([Recorded(task) for task in tasks]))
        except submitit.core.utils.FailedJobError as error:
            said = str(error)
            if is_unanswered(said):
                raise no_answer(name, in_one_line(said), folder.parent) from error
            raise UserError(refusal(name, said, config)) from error


@contextmanager
def _nothing_left_of_a_refusal(folder: Path) -> Iterator[None]:
    """Remove what submitit wrote into ``folder`` for a job that was refused. If SLURM did not answer, the script stays,
    by which the job can be found."""
    before = set(folder.iterdir()) if folder.is_dir() else set()
    try:
        yield
    except UserError as error:
        for written in set(folder.iterdir()) - before:
            if not (isinstance(error, NoAnswer) and written.match(SCRIPTS)):
                written.unlink()
        raise


@contextmanager
def _without(names: Iterable[str]) -> Iterator[None]:
    """Hide these variables, and those of our own rank, from the new job.

    MASTER_PORT is kept as the user's choice for the job, unless it came with our rank.
    """
    ours = {*names, *RANK_NAMES, *(["MASTER_PORT"] if "RANK" in os.environ else [])}
    ours |= {name for name in os.environ if name.startswith("SUBMITIT_")}
    hidden = {name: os.environ.pop(name) for name in ours & os.environ.keys()}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _record(
    run: Path, ids: list[str], job: Job, config: ClusterConfig, arrays: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Write launch.json into the run folder; return what SLURM granted the last of the jobs."""
    made: dict[str, Any] = {
        "name": job.name,
        "requested": job.requested,
        "job_ids": ids,
        "arrays": {number: list(makes) for number, makes in arrays.items()},
        "submitted": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "sbatch": sbatch_parameters(config, job.name),
        "environment": from_environment(sbatch_text(config, job.name, _folder(run))),
        "granted": granted(ids[-1]),
        "made_by": provenance.made_by(),
    }
    atomic.write_json(run / RECORD, made)
    return dict(made["granted"])


def _tell(job: Submitted, run: Path, config: ClusterConfig, given: Mapping[str, str]) -> None:
    """Print a submitted job, and how to follow and cancel it."""
    processor = "CPU rank" if config.on_cpu else "GPU"
    size = f"{config.nodes} node(s) with {config.ranks_per_node} {processor}(s), at most {config.time}"
    after = f", after {config.dependency}" if config.dependency else ""
    say(f"submitted job {job.job_id}: {job.name} on {size}{after}")
    say(f"  run     {run}")
    say(f"  log     {job.log}")
    if given:
        say(f"  granted {', '.join(f'{name} {value}' for name, value in given.items())}")
    say(f"  watch   mammogan watch --workspace {shell_word(run.parent.parent)}")
    say(f"  cancel  scancel {job.job_id}")
