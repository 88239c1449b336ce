"""Deals with submissions that sbatch got no answer for: SLURM may have queued the job nevertheless.

Such a job cannot work, because its files are named by a number that nobody was told. It is cancelled, so that the same
command can submit the work again and no two jobs write the same files.
"""

from __future__ import annotations

import time
from pathlib import Path

from mammogan.cluster.slurm.commands import NoAnswer, output_of
from mammogan.cluster.slurm.queue import jobs_of_scripts

SIGNS = ("timed out", "unable to contact", "zero bytes", "connection failure", "receive failure", "not connected")
"""Texts in sbatch's errors, in lower case, that say nothing about the job."""
LATE_SECONDS = 10.0
"""How long we look for a job that a busy controller may still queue."""
SCRIPTS = ".submission_file_*.sh"
"""Names of job scripts until SLURM has given the job a number."""


def is_unanswered(said: str) -> bool:
    """Return whether sbatch failed without knowing whether the job was queued."""
    return any(sign in said.lower() for sign in SIGNS)


def no_answer(name: str, said: str, folder: Path) -> NoAnswer:
    """Look for the job in the queue, cancel it if it is there, and return the error to raise."""
    deadline = time.monotonic() + LATE_SECONDS
    try:
        while not (ids := cancel_unanswered(folder)) and time.monotonic() < deadline:
            time.sleep(1)
    except NoAnswer as error:
        said, ids = f"{said}; {error}", []
    if ids:
        after = f"it was queued nevertheless as job {', '.join(ids)}, which has been cancelled"
    else:
        after = "the queue does not show it, and the same command looks there again before it submits anything"
    return NoAnswer(f"sbatch got no answer for {name}: {said}\n{after}. Give the same command again")


def cancel_unanswered(folder: Path) -> list[str]:
    """Cancel the jobs of scripts in ``folder`` that never got a number; return their ids. NoAnswer when SLURM does not
    say whether there are any."""
    scripts = [file for file in folder.glob(SCRIPTS) if not file.is_symlink()]
    ids = jobs_of_scripts(scripts) if scripts else []
    if ids:
        output_of("scancel", *ids)
        for script in scripts:
            script.unlink()
    return ids
