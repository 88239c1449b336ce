"""Several processes on this machine: the ranks of one training, or workers that share out independent tasks.

The first process keeps our terminal; the others write to logs, of which the end is shown when one fails.
``python -m mammogan.cluster.local TASK.pkl`` is what each process runs.
"""

from __future__ import annotations

import ctypes
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
from mammogan.command_line import INTERRUPTED, MISTAKE, guarded
from mammogan.data.workers import cores
from mammogan.files import written_beside

PATIENCE = 30.0
"""Seconds that ranks get to stop by themselves."""
SETTLE = 1.0
"""Seconds after the first failure in which the ranks it takes along may end."""
POLL = 0.1
LOG_LINES = 20
PR_SET_PDEATHSIG = 1


def run_ranks(task: Task, ranks: int, folder: Path) -> int:
    """Run ``task`` in as many processes, each told its rank as torchrun would; exit code 0 or the first failure's."""
    port = os.environ.get("MASTER_PORT") or str(free_port())
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(ranks)}
    environments = [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(ranks)]
    return run_side_by_side([task] * ranks, environments, folder)


def run_side_by_side(tasks: Sequence[Task], environments: Sequence[dict[str, str]], folder: Path) -> int:
    """Run each task in a process of its own with the cores shared out; one failure stops them all."""
    threads = str(max(1, cores() // len(tasks)))
    children: list[subprocess.Popen[str]] = []
    with ExitStack() as stack:
        stack.enter_context(stopping_on_exit(children, PATIENCE))
        for number, (task, environment) in enumerate(zip(tasks, environments, strict=True)):
            pickled = _pickled(task, folder / f"task-{number}.pkl")
            log = None if number == 0 else stack.enter_context(open(_log(folder, number), "w"))
            words = [sys.executable, "-u", "-m", "mammogan.cluster.local", str(pickled)]
            share = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": threads}
            children.append(start(words, share | environment, log))
        return _watched(children, folder)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _watched(children: list[subprocess.Popen[str]], folder: Path) -> int:
    """Wait until all have ended or one has failed."""
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
    for number, code in failed.items():
        how = f"was ended by signal {code - 128}" if code > 128 else f"failed with exit code {code}"
        print(f"process {number} {how}", file=sys.stderr)
        if number:
            lines = _log(folder, number).read_text(errors="replace").splitlines()[-LOG_LINES:]
            print(f"the end of {_log(folder, number)}:", *lines, sep="\n  ", file=sys.stderr)


def _pickled(task: Task, path: Path) -> Path:
    with written_beside(path) as temporary:
        temporary.write_bytes(pickle.dumps(task))
    return path


def _log(folder: Path, number: int) -> Path:
    return folder / f"process-{number}.log"


def _end_with_parent() -> None:
    """Have Linux end this process when its parent is killed: a rank left behind would write into the next run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(path: str) -> int:
    _end_with_parent()
    task: Task = pickle.loads(Path(path).read_bytes())
    return guarded(lambda: _quietly_interrupted(task))


def _quietly_interrupted(task: Task) -> int:
    """Run it; the launcher tells of an interruption, once."""
    try:
        task()
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
