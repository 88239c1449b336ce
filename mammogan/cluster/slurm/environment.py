"""Keeps variables that a site or a user has set from changing what we ask of SLURM, and what we read from it.

SLURM's commands take options from SQUEUE_*, SACCT_* and so on, and a variable SBATCH_* wins over the line of a job's
script that says something else.
"""

from __future__ import annotations

import os
import re

READING = ("SQUEUE_", "SACCT_", "SINFO_", "SCONTROL_", "SCANCEL_", "SACCTMGR_", "SLURM_TIME_FORMAT", "SLURM_BITSTR_LEN")
"""Beginnings of the names of variables that change what SLURM's commands print, or of which jobs."""
KEPT_OF_SLURM = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT", "SLURM_MPI_TYPE")
"""Variables that say how SLURM is reached. Others with SLURM_ or SRUN_ would be options of srun in the job, such as
SLURM_TIMELIMIT or SLURM_REMOTE_CWD, or belong to the job from which this one is submitted."""
OPTION_OF = {
    "TIMELIMIT": "time",
    "NO_REQUEUE": "requeue",
    "KILL_INVALID_DEPEND": "kill-on-invalid-dep",
    "ARRAY_INX": "array",
}
"""Variables whose option has another name."""
NEVER = (
    *("ARRAY_INX", "ERROR", "GPUS", "GPUS_PER_NODE", "GPUS_PER_SOCKET", "GPUS_PER_TASK", "GRES", "INPUT", "OUTPUT"),
    *("NTASKS_PER_GPU", "NTASKS_PER_TRES", "OVERCOMMIT", "TRES_PER_TASK", "WAIT"),
)
"""Variables of sbatch that ask for something that every script decides, also by leaving it out."""


def environment_for_reading() -> dict[str, str]:
    """Return the environment for commands whose output we read."""
    return {name: value for name, value in os.environ.items() if not name.startswith(READING)}


def requests_of(script: str) -> dict[str, str]:
    """Return the options of sbatch in a job script; those without a value, such as requeue, have an empty one."""
    return dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", script, re.MULTILINE))


def contradicting(script: str) -> dict[str, str]:
    """Return the variables that would override this job script: those of sbatch, and srun's, which the job would
    inherit."""
    lines = requests_of(script)
    return {name: value for name, value in os.environ.items() if _overrides(name, value, lines)}


def from_environment(script: str) -> dict[str, str]:
    """Return the variables that decide what this job script leaves open, such as SBATCH_ACCOUNT without --account."""
    out = contradicting(script)
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith("SBATCH_") and name not in out}


def _overrides(name: str, value: str, lines: dict[str, str]) -> bool:
    start, _, option = name.partition("_")
    if start in ("SLURM", "SLURMD", "SRUN"):
        return name not in KEPT_OF_SLURM
    if start != "SBATCH" or option == "REQUEUE":
        return False
    if option.startswith("MEM_PER_") and any(key.startswith("mem") for key in lines):
        return lines.get("mem") != value or option != "MEM_PER_NODE"
    key = OPTION_OF.get(option, option.lower().replace("_", "-"))
    return option in NEVER or (key in lines and lines[key].strip("'") != value)
