"""What SLURM's commands say of jobs that were submitted; one that does not answer is told, never a traceback."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from mammogan import files
from mammogan.cluster.profile import JOB_NAME
from mammogan.config import UserError

RECORD = "launch.json"
"""File in a run folder that names the jobs submitted for it."""
ANSWER_SECONDS = 60.0
DEFAULT_MAX_ARRAY = 1001
OUR_NAMES = JOB_NAME.format(name="")
"""How the names of our jobs begin."""


class NoAnswer(UserError):
    """A command failed or took too long; it may answer if asked again."""


def queued(ids: Sequence[str]) -> list[str]:
    """Those of these jobs of ours that still wait or run; one that SLURM has forgotten does neither.

    The name is looked at too, since another cluster, or a later year, gives the same numbers to others.
    """
    alive = {number.partition("_")[0] for number in _ours(ids)}
    return [number for number in dict.fromkeys(ids) if number in alive]


def cancelled(ids: Sequence[str]) -> set[str]:
    """The jobs of ours, and the tasks of arrays, such as 12_3, of which SLURM still knows that they were cancelled, by
    a person or because what they waited for failed."""
    try:
        return set(_ours(ids, "--states=CANCELLED", "--array"))
    except UserError:
        return set()


def _ours(ids: Sequence[str], *how: str) -> list[str]:
    """Numbers of these jobs as squeue shows them."""
    words = ("squeue", "--noheader", "--format=%i %j", f"--jobs={','.join(ids)}", *how)
    shown = asked(*words, fine="Invalid job id")
    lines = [line.split(maxsplit=1) for line in shown.splitlines() if line.strip()]
    return [number for number, *name in lines if "".join(name).startswith(OUR_NAMES)]


def refuse_queued(runs: Mapping[Path, str]) -> None:
    """UserError when jobs that are recorded in these folders, told by name, still wait or run: two jobs would write
    the same files."""
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
    """Whether these jobs still work on something is asked here, and has to be known: NoAnswer ends it with all said."""
    try:
        yield
    except NoAnswer as error:
        which = ", ".join(dict.fromkeys(ids))
        raise UserError(f"{error}; so it is not known whether job {which} still works on this. Try again") from error


def max_array() -> int:
    """Tasks that one array may have (SLURM's MaxArraySize counts from 0 and excludes itself)."""
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
    """The partitions, one a line with its nodes and what each of them has; empty when sinfo does not tell."""
    return _told("sinfo", "--noheader", "--format=%R: %D node(s) with %c cores, %m MB, gres %G, at most %l")


def accounts() -> str:
    """The user's accounts, one a line as account|partition|QOS; empty where SLURM keeps none."""
    who = f"user={getpass.getuser()}"
    return _told("sacctmgr", "--noheader", "--parsable2", "show", "associations", who, "format=account,partition,qos")


def _told(*words: str) -> str:
    try:
        shown = asked(*words)
    except UserError:
        return ""
    return "\n".join(line.rstrip("|") for line in shown.splitlines() if line.strip("| "))


def _recorded(run: Path) -> list[str]:
    record = run / RECORD
    return [str(number) for number in files.read_json(record)["job_ids"]] if record.is_file() else []


def asked(*words: str, fine: str = "") -> str:
    """What one of SLURM's commands prints; it may fail with ``fine`` in its complaint. NoAnswer when it fails
    otherwise or takes too long, UserError where it is not installed."""
    try:
        shown = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"{words[0]} does not answer within {ANSWER_SECONDS:g} s") from error
    except OSError as error:
        raise UserError(f"{words[0]} cannot be run here: {error.strerror}") from error
    if shown.returncode and not (fine and fine in shown.stderr):
        raise NoAnswer(f"{words[0]} fails: {shown.stderr.strip() or f'exit code {shown.returncode}'}")
    return shown.stdout
