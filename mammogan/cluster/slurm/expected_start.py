"""Asks SLURM about job scripts that are only shown: when a job would start, and what would decide otherwise.

sbatch --test-only queues nothing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence

from mammogan.cluster.backend import UNCONFIGURED
from mammogan.cluster.slurm.environment import contradicting, from_environment, requests_of
from mammogan.cluster.slurm.gres import gpus_of
from mammogan.cluster.slurm.rejection import in_one_line
from mammogan.io.terminal import say_on_stderr

ANSWER_SECONDS = 30.0
"""How long sbatch may take to answer. After one that does not, the other scripts are not asked about."""


def tell_expected_start(scripts: Sequence[str]) -> None:
    """Print for each script what it is charged at most, what the environment changes, and where SLURM answers, the
    earliest start of its job."""
    answers = shutil.which("sbatch") is not None
    for script in scripts:
        out, left = contradicting(script), from_environment(script)
        start = _start(script, list(out)) if answers else ""
        answers = answers and start is not None
        lines = [_charged(script), start if start is not None else "sbatch --test-only does not answer"]
        lines += [f"left out of the environment: {_listed(out)}"] if out else []
        lines += [f"from the environment: {_listed(left)}"] if left else []
        say_on_stderr("\n  ".join([requests_of(script)["job-name"], *(text for text in lines if text)]))


def _start(script: str, hidden: Sequence[str]) -> str | None:
    """Return what sbatch says about a script; None when it does not answer. The jobs it waits for have no numbers
    yet, so it is asked as if there were none."""
    script = re.sub(r"^#SBATCH --(?:dependency|kill-on-invalid-dep)=.*\n", "", script, flags=re.MULTILINE)
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    words = ("sbatch", "--test-only")
    try:
        shown = subprocess.run(
            words, input=script, env=environment, capture_output=True, text=True, timeout=ANSWER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if UNCONFIGURED in shown.stderr:
        return ""
    if shown.returncode:
        return f"sbatch would refuse it: {in_one_line(shown.stderr.replace('allocation failure: ', ''))}"
    found = re.search(r"to start at (\S+) .*? on nodes (\S+) in partition (\S+)", shown.stderr)
    return "would start at {} on {} in partition {}".format(*found.groups()) if found else in_one_line(shown.stderr)


def _charged(script: str) -> str:
    """Return the most that a job is charged: its GPUs or cores, for its time limit, in each task of an array."""
    requests = requests_of(script)
    tasks = re.match(r"0-(\d+)", requests.get("array", ""))
    nodes, count = int(requests["nodes"]), int(tasks[1]) + 1 if tasks else 1
    gpus = gpus_of(requests["gres"]) if "gres" in requests else int(requests.get("gpus-per-node", 0))
    cores = int(requests["cpus-per-task"]) * int(requests["ntasks-per-node"])
    each = f"{nodes * gpus} GPU" if gpus else f"{nodes * cores} core"
    hours = nodes * (gpus or cores) * int(requests["time"]) / 60 * count
    return f"{f'{count} tasks of ' if tasks else ''}{each}(s), at most {hours:.1f} {each.split()[1]}-hours"


def _listed(variables: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in variables.items())
