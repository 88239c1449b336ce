"""Runs several processes on this machine: the ranks of one training, or workers that share independent tasks.

The first process keeps our terminal; the others write to logs, and the end of a log is shown when its process fails.
Each process runs ``python -m mammogan.cluster.local TASK.pkl``.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from mammogan.cluster.processes import exit_code, start, stopping_on_exit
from mammogan.cluster.tasks import Task
from mammogan.data.parallel.pool import cores
from mammogan.data.parallel.process import end_with_parent
from mammogan.io.atomic import replaced_atomically
from mammogan.io.options import INTERRUPTED, MISTAKE, guarded
from mammogan.io.own_python import python_running

PATIENCE = 30.0
"""Seconds that ranks get to stop by themselves."""
SETTLE = 1.0
"""Seconds after the first failure in which ranks that fail because of it may end."""
POLL = 0.1
"""Seconds between two looks at the processes."""
LOG_LINES = 20
"""Number of last lines shown of a failed process's log."""


def run_ranks(task: Task, ranks: int, folder: Path) -> int:
    """Run ``task`` in ``ranks`` processes, each with its rank in the environment as torchrun sets it.

    Returns 0, or the exit code of the first process that failed.
    """
    port = os.environ.get("MASTER_PORT") or str(free_port())
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(ranks)}
    environments = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]
    return run_side_by_side([task] * ranks, environments, folder)


def run_side_by_side(tasks: Sequence[Task], environments: Sequence[dict[str, str]], folder: Path) -> int:
    """Run each task in a separate process, sharing the cores; the failure of one stops all."""
    threads = str(max(1, cores() // len(tasks)))
    children: list[subprocess.Popen[str]] = []
    with ExitStack() as stack:
        stack.enter_context(stopping_on_exit(children, PATIENCE))
        for number, (task, environment) in enumerate(zip(tasks, environments, strict=True)):
            with replaced_atomically(folder / f"task-{number}.pkl") as temporary:
                temporary.write_bytes(pickle.dumps(task))
            log = None if number == 0 else stack.enter_context(open(_log(folder, number), "w"))
            words = [*python_running("mammogan.cluster.local"), str(folder / f"task-{number}.pkl")]
            share = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": threads}
            children.append(start(words, share | environment, log))
        return _watched(children, folder)


def free_port() -> int:
    """Return a TCP port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _watched(children: list[subprocess.Popen[str]], folder: Path) -> int:
    """Wait until all have ended or one has failed; return 0 or a failed process's exit code."""
    while any(child.poll() is None for child in children):
        if any(child.poll() for child in children):
            time.sleep(SETTLE)
            break
        time.sleep(POLL)
    failed = {number: exit_code(child) for number, child in enumerate(children) if child.poll()}
    if failed.get(0) != MISTAKE:
        _tell(failed, folder)
    return next(iter(failed.values()), 0)


def _tell(failed: dict[int, int], folder: Path) -> None:
    """Print how processes failed, and the ends of their logs."""
    for number, code in failed.items():
        how = f"was ended by signal {code - 128}" if code > 128 else f"failed with exit code {code}"
        print(f"process {number} {how}", file=sys.stderr)
        if number:
            lines = _log(folder, number).read_text(errors="replace").splitlines()[-LOG_LINES:]
            print(f"the end of {_log(folder, number)}:", *lines, sep="\n  ", file=sys.stderr)


def _log(folder: Path, number: int) -> Path:
    return folder / f"process-{number}.log"


def main(path: str) -> int:
    """Run the pickled task; return its exit code."""
    end_with_parent(signal.SIGTERM)  # a rank left behind would write into the next run
    task: Task = pickle.loads(Path(path).read_bytes())
    return guarded(lambda: _quietly_interrupted(task))


def _quietly_interrupted(task: Task) -> int:
    """Run the task. After Ctrl-C it prints nothing, since the launcher does."""
    try:
        task()
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
