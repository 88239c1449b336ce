"""Says at the start of a SLURM job on which hardware it runs, and at its end what it used of what was asked for.

The same two lines are in the job's log and, for mammogan watch, in a file beside the log.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mammogan.cluster.slurm.this_job import this_job
from mammogan.data.parallel.pool import cores
from mammogan.errors import UserError
from mammogan.io.records import read_record, write_record
from mammogan.io.terminal import duration, say

KB, GB = 1 << 10, 1 << 30
PROCESSES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
"""This process and those that it started and that have ended."""


@contextmanager
def usage_reported() -> Iterator[None]:
    """Print the two lines around the work in this block, in the first rank of each node of a SLURM job."""
    job = this_job()
    if job is None or os.environ.get("LOCAL_RANK", "0") != "0":
        yield
        return
    begun = time.monotonic(), _cpu_seconds()
    node = os.environ.get("SLURMD_NODENAME", "?")
    lines = {"start": f"node {node}: {_hardware()}", "end": ""}
    _tell(job, lines, "start")
    try:
        yield
    finally:
        lines["end"] = f"node {node}, {_used(*begun)}"
        _tell(job, lines, "end")


def usage_file(log: Path) -> Path:
    """Return the file with the lines of the job whose first rank has this log."""
    return log.with_name(log.name.replace("_0_log.out", "_usage.json"))


def read_usage(log: Path) -> str:
    """Return the last line of a job, given its first rank's log; empty where there is none."""
    try:
        lines = read_record(usage_file(log), {"start": str, "end": str})
    except (UserError, OSError):
        return ""
    return str(lines["end"] or lines["start"])


def _tell(job: Any, lines: dict[str, str], which: str) -> None:
    say(lines[which])
    if job.global_rank == 0:
        write_record(usage_file(job.paths.stdout), lines)


def _hardware() -> str:
    """Return the cores and memory asked for of those that the node has, and its GPUs with their driver."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB
    memory = f"{_requested_memory(total)} asked of {total:.0f} GB"
    return f"{_requested_cores()} core(s) asked of {os.cpu_count()}, {memory}, {gpus()}"


def _used(began: float, cpu_before: float) -> str:
    """Return what this process and those that it started have used; of memory the most that one of them had."""
    took = max(time.monotonic() - began, 1e-3)
    cores_used = f"{(_cpu_seconds() - cpu_before) / took:.1f} of {_requested_cores()} core(s) busy"
    peak = max(resource.getrusage(who).ru_maxrss for who in PROCESSES) * KB / GB
    used = [f"{duration(took)}: {cores_used}, peak memory {peak:.1f} of {_requested_memory()}"]
    torch, waiting = sys.modules.get("torch"), sys.modules.get("mammogan.data.loading.waiting")
    if torch is not None and torch.cuda.is_initialized():
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        used.append(f"peak GPU memory {torch.cuda.max_memory_reserved() / GB:.1f} of {total / GB:.0f} GB")
    if waiting is not None and waiting.Waiting.seconds:
        used.append(f"{waiting.Waiting.seconds / took:.0%} of the time waiting for data")
    return ", ".join(used)


def _cpu_seconds() -> float:
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, PROCESSES))


def _requested_cores() -> int:
    """Return the cores asked for on this node."""
    ranks = re.match(r"\d+", os.environ.get("SLURM_NTASKS_PER_NODE", ""))
    return int(os.environ.get("SLURM_CPUS_PER_TASK") or cores()) * int(ranks[0] if ranks else 1)


def _requested_memory(otherwise: float | None = None) -> str:
    """Return the memory asked for on this node; 0 means all of it."""
    megabytes = int(os.environ.get("SLURM_MEM_PER_NODE") or 0)
    if megabytes:
        return f"{megabytes / 1024:.0f} GB"
    return "all memory" if otherwise is None else f"all {otherwise:.0f} GB"


def gpus() -> str:
    """Return the GPUs of this job as nvidia-smi names them, with their memory and driver; 'no GPU' without them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    which = [f"--id={visible}"] if re.fullmatch(r"\d+(,\d+)*", visible) else []
    words = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader", *which]
    try:
        shown = subprocess.run(words, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return "no GPU"
    rows = [line.split(", ") for line in shown.stdout.splitlines() if line.count(", ") == 2]
    if shown.returncode or not rows:
        return f"no GPU ({(shown.stderr or shown.stdout).strip().partition(chr(10))[0]})"
    names = [f"{name} with {memory}" for name, memory, _ in rows]
    return ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) + f", driver {rows[0][2]}"
