"""Runs SLURM's commands and reads what they print; one that does not answer becomes a UserError, never a traceback."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mammogan.cluster.slurm.environment import environment_for_reading
from mammogan.cluster.slurm.profile import JOB_NAME
from mammogan.errors import UserError
from mammogan.io import atomic

RECORD = "launch.json"
"""File in a run folder that names the jobs submitted for it."""
ANSWER_SECONDS = 60.0
"""How long a command may take to answer."""
DEFAULT_MAX_ARRAY = 1001
"""Used where SLURM does not answer."""
OUR_NAMES = JOB_NAME.format(name="")
"""Beginning of the names of our jobs."""


class NoAnswer(UserError):
    """Reports that a command failed or took too long; another try may succeed."""


def queued(ids: Sequence[str]) -> list[str]:
    """Return those of these jobs that are queued or running; a job that SLURM no longer knows is left out.

    Only jobs with our names count: another cluster, or this one years later, gives the same numbers to other jobs.
    """
    alive = {number.partition("_")[0] for number in _ours(ids)}
    return [number for number in dict.fromkeys(ids) if number in alive]


def cancelled(ids: Sequence[str]) -> set[str]:
    """Return those of our jobs, and of the tasks of arrays (such as 12_3), that SLURM still knows as cancelled: by a
    person, or because a job they waited for failed. Empty when SLURM does not answer."""
    try:
        return set(_ours(ids, "--states=CANCELLED", "--array"))
    except UserError:
        return set()


def _ours(ids: Sequence[str], *how: str) -> list[str]:
    """Return the numbers of those of these jobs that squeue lists under our names."""
    words = ("squeue", "--noheader", "--format=%i %j", f"--jobs={','.join(ids)}", *how)
    shown = asked(*words, fine="Invalid job id")
    lines = [line.split(maxsplit=1) for line in shown.splitlines() if line.strip()]
    return [number for number, *name in lines if "".join(name).startswith(OUR_NAMES)]


def refuse_queued(runs: Mapping[Path, str]) -> None:
    """Raise UserError when jobs recorded in these folders are still queued or running: two jobs would write the same
    files.

    ``runs``: the name shown for each folder.
    """
    submitted = {number: name for run, name in runs.items() for number in _recorded(run)}
    if not submitted:
        return
    with answered(submitted):
        alive = queued(list(submitted))
    if alive:
        which = ", ".join(f"{number} ({submitted[number]})" for number in alive)
        raise UserError(
            f"submitted before and still queued or running: job {which}. Wait until that ends, or cancel it with\n"
            f"  scancel {' '.join(alive)}"
        )


@contextmanager
def answered(ids: Iterable[str]) -> Iterator[None]:
    """Turn NoAnswer in this block into a UserError that names the jobs, since it must be known whether they still
    work."""
    try:
        yield
    except NoAnswer as error:
        which = ", ".join(dict.fromkeys(ids))
        raise UserError(f"{error}; so it is not known whether job {which} still works on this. Try again") from error


def max_array() -> int:
    """Return how many tasks one array may have (SLURM's MaxArraySize counts from 0 and excludes itself)."""
    try:
        shown = asked("scontrol", "show", "config")
    except UserError:
        return DEFAULT_MAX_ARRAY
    for line in shown.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "MaxArraySize":
            return max(1, int(value))
    return DEFAULT_MAX_ARRAY


def partitions() -> str:
    """Return the partitions, one per line with its nodes and their hardware; empty when sinfo does not answer."""
    return _told("sinfo", "--noheader", "--format=%R: %D node(s) with %c cores, %m MB, gres %G, at most %l")


def accounts() -> str:
    """Return the user's accounts, one per line as account|partition|QOS; empty where SLURM keeps none."""
    who = f"user={getpass.getuser()}"
    return _told("sacctmgr", "--noheader", "--parsable2", "show", "associations", who, "format=account,partition,qos")


def _told(*words: str) -> str:
    """Return what a command prints, without empty lines; empty when it fails."""
    try:
        shown = asked(*words)
    except UserError:
        return ""
    return "\n".join(line.rstrip("|") for line in shown.splitlines() if line.strip("| "))


def _recorded(run: Path) -> list[str]:
    """Return the ids of the jobs recorded in a run folder."""
    record = run / RECORD
    return [str(number) for number in atomic.read_json(record)["job_ids"]] if record.is_file() else []


def asked(*words: str, fine: str = "", seconds: float | None = None) -> str:
    """Run one of SLURM's commands and return what it prints.

    A failure with ``fine`` in its error message is accepted. NoAnswer when it fails otherwise or takes longer than
    ``seconds`` (ANSWER_SECONDS), UserError where it is not installed.
    """
    patience = seconds or ANSWER_SECONDS
    try:
        shown = subprocess.run(words, capture_output=True, text=True, timeout=patience, env=environment_for_reading())
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"{words[0]} does not answer within {patience:g} s") from error
    except OSError as error:
        raise UserError(f"{words[0]} cannot be run here: {error.strerror}") from error
    if shown.returncode and not (fine and fine in shown.stderr):
        raise NoAnswer(f"{words[0]} fails: {shown.stderr.strip() or f'exit code {shown.returncode}'}")
    return shown.stdout
