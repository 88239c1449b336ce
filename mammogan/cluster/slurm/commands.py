"""Runs SLURM's commands and reads what they print; one that does not answer becomes a UserError, never a traceback."""

from __future__ import annotations

import getpass
import re
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from mammogan.cluster.slurm.environment import environment_for_reading
from mammogan.cluster.slurm.profile import JOB_NAME
from mammogan.errors import UserError

ANSWER_SECONDS = 60.0
"""How long a command may take to answer."""
DEFAULT_MAX_ARRAY = 1001
"""Used where SLURM does not answer."""
OUR_NAMES = JOB_NAME.format(name="")
"""Beginning of the names of our jobs."""


class NoAnswer(UserError):
    """Reports that a command failed or took too long; another try may succeed."""


@contextmanager
def answer_needed(ids: Iterable[str]) -> Iterator[None]:
    """Turn NoAnswer in this block into a UserError that names the jobs, since it must be known whether they still
    work."""
    try:
        yield
    except NoAnswer as error:
        which = ", ".join(dict.fromkeys(ids))
        raise UserError(f"{error}; so it is not known whether job {which} still works on this. Try again") from error


def max_array() -> int:
    """Return how many tasks one array may have (SLURM's MaxArraySize counts from 0 and excludes itself)."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _lines("scontrol", "show", "config"), re.MULTILINE)
    return max(1, int(found[1])) if found else DEFAULT_MAX_ARRAY


def partitions() -> str:
    """Return the partitions, one per line with its nodes and their hardware; empty when sinfo does not answer."""
    return _lines("sinfo", "--noheader", "--format=%R: %D node(s) with %c cores, %m MB, gres %G, at most %l")


def accounts() -> str:
    """Return the user's accounts, one per line as account|partition|QOS; empty where SLURM keeps none."""
    who = f"user={getpass.getuser()}"
    return _lines("sacctmgr", "--noheader", "--parsable2", "show", "associations", who, "format=account,partition,qos")


def limits() -> str:
    """Return the limits of the user's accounts and of their QOS, one per line; empty where there are none."""
    who = f"user={getpass.getuser()}"
    show = ("sacctmgr", "--parsable2", "show")
    names = "maxsubmitjobs,maxjobs,maxwall,maxtres,grptres"
    of_accounts = _lines(*show, "associations", who, f"format=account,partition,{names}")
    of_qos = _lines(*show, "qos", "format=name,maxsubmitpu,maxjobspu,maxwall,maxtres,maxtrespu")
    return "\n".join(line for table in (of_accounts, of_qos) for line in _limited(table))


def _limited(table: str) -> Iterator[str]:
    """Yield the rows of one of sacctmgr's tables that have a limit, as 'name: limit value, ...'."""
    header, *rows = [line.split("|") for line in table.splitlines()] or [[]]
    for row in rows:
        (kind, name), *others = zip(header, row, strict=False)
        given = [f"{limit} {value}" for limit, value in others if value and limit != "Partition"]
        if given:
            yield f"{kind} {name}: {', '.join(given)}"


def _lines(*words: str) -> str:
    """Return what a command prints, without empty lines; empty when it fails."""
    try:
        shown = output_of(*words)
    except UserError:
        return ""
    return "\n".join(line.rstrip("|") for line in shown.splitlines() if line.strip("| "))


def output_of(*words: str, fine: str = "", seconds: float | None = None) -> str:
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
