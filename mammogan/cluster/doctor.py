"""Checks, on the nodes themselves, what a training on several ranks needs, and says which line of a profile mends it.

Each rank writes its findings into the workspace, so that a check that never returns leaves its own finding.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from mammogan.cluster.slurm.commands import output_of
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Task
from mammogan.cluster.usage import gpus
from mammogan.io.records import read_record, write_record
from mammogan.io.terminal import say
from mammogan.left_by_others import ours_in

SECONDS = 30.0
"""How long ranks may take to meet."""
LAG_SECONDS = 15.0
"""How late a shared file system may show on one node what another has written."""
SHM_MB = 512
"""Shared memory that the loader workers of one rank need for full mammograms."""
LONGEST_TMPDIR = 70
"""Longest path in which Python and torch can make their sockets: a socket's path has at most 107 bytes."""
IN_SETUP = "setup: [{}]"


FINDINGS = {"findings": [{"check": str, "is_sound": bool, "found": str, "remedy?": str}]}
"""What a rank writes, with the types."""


@dataclass(frozen=True)
class Finding:
    """What one rank found in one check."""

    check: str
    is_sound: bool
    found: str
    remedy: str = ""
    """A line of a profile, or what to do where no line helps; empty when it is sound."""


@dataclass(frozen=True)
class Examination(Task):
    """The checks of all ranks of a job."""

    folder: Path
    config: ClusterConfig

    def work(self) -> None:
        rank, found = int(os.environ.get("RANK", "0")), list[Finding]()
        for name, (check, remedy) in CHECKS.items():
            _write(self.folder, rank, [*found, Finding(name, False, "the check never returned", remedy)])
            try:
                found.append(Finding(name, True, check(self)))
            except Unsound as error:
                found.append(Finding(name, False, *error.args))
            except Exception as error:  # a check that fails is what we want to know
                first_line = f"{type(error).__name__}: {error}".partition("\n")[0]
                found.append(Finding(name, False, first_line, remedy))
            say(f"{name}: {found[-1].found}")
        _write(self.folder, rank, found)


class Unsound(Exception):
    """Reports what a check found wrong, and the remedy: its two arguments."""


def findings(folder: Path) -> dict[int, list[Finding]]:
    """Return the findings of each rank that wrote some."""
    ranks = {int(file.stem.removeprefix("rank-")): file for file in ours_in(folder, "rank-*.json")}
    return {
        rank: [Finding(**found) for found in read_record(file, FINDINGS)["findings"]] for rank, file in ranks.items()
    }


def _write(folder: Path, rank: int, found: Sequence[Finding]) -> None:
    write_record(folder / f"rank-{rank}.json", {"findings": [dataclasses.asdict(finding) for finding in found]})


def _shared_folder(job: Examination) -> str:
    size = int(os.environ.get("WORLD_SIZE", "1"))
    expected = {f"rank-{rank}.json" for rank in range(size)}
    deadline = time.monotonic() + LAG_SECONDS
    while missing := expected - {file.name for file in job.folder.iterdir()}:  # listing makes NFS look again
        if time.monotonic() > deadline:
            raise Unsound(f"{socket.gethostname()} does not see {', '.join(sorted(missing))} in {job.folder}", SHARED)
        time.sleep(0.2)
    return f"all {size} rank(s) see {job.folder}"


def _names(job: Examination) -> str:
    names = [os.environ.get("MASTER_ADDR", socket.gethostname()), socket.gethostname()]
    addresses = {name: str(socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0]) for name in dict.fromkeys(names)}
    found = ", ".join(f"{name} is {address}" for name, address in addresses.items())
    if job.config.nodes > 1 and any(address.startswith("127.") for address in addresses.values()):
        raise Unsound(f"{found}: a loopback address, which no other node can reach", INTERFACE)
    return found


def _gpu(job: Examination) -> str:
    import torch

    if job.config.on_cpu:
        return "none asked for"
    wanted, visible = job.config.ranks_per_node, torch.cuda.device_count()
    if visible not in (1, wanted):
        build = f"torch {torch.__version__} for CUDA {torch.version.cuda}"
        raise Unsound(f"{visible} visible to {build}, {wanted} asked for; nvidia-smi: {gpus()}", GRES)
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % visible)
    torch.ones(8, device=device).sum().item()
    return gpus()


def _cores(job: Examination) -> str:
    usable = len(os.sched_getaffinity(0))
    if usable < job.config.cpus_per_task and "SLURM_JOB_ID" in os.environ:
        raise Unsound(
            f"{usable} usable of {job.config.cpus_per_task} asked for each rank", "sbatch: [hint=nomultithread]"
        )
    return f"{usable} usable, {job.config.cpus_per_task} asked for"


def _shared_memory(job: Examination) -> str:
    free = shutil.disk_usage("/dev/shm").free >> 20
    needed = SHM_MB * job.config.ranks_per_node
    if free < needed:
        raise Unsound(f"{free} MB free, expected {needed} MB", NO_WORKERS)
    return f"{free} MB free"


def _temporary_files(job: Examination) -> str:
    folder = tempfile.gettempdir()
    if len(folder) > LONGEST_TMPDIR:
        raise Unsound(f"{folder} has {len(folder)} characters, expected at most {LONGEST_TMPDIR}", TMPDIR)
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(1 << 20))
    return f"{folder}, {shutil.disk_usage(folder).free >> 30} GB free"


def _requeue(job: Examination) -> str:
    number = os.environ.get("SLURM_JOB_ID")
    if number is None:
        return "not a SLURM job"
    if "Requeue=1" not in output_of("scontrol", "show", "job", number, seconds=SECONDS):
        raise Unsound("the job may not be requeued", NO_REQUEUE)
    return "the job may be requeued"


def _meeting(backend: str, job: Examination) -> str:
    import torch
    import torch.distributed as dist

    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or (backend == "nccl" and job.config.on_cpu):
        return "not needed"
    device = f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}" if backend == "nccl" else "cpu"
    began = time.monotonic()
    dist.init_process_group(backend, rank=rank, world_size=size, timeout=timedelta(seconds=SECONDS))
    try:
        value = torch.ones(1, device=device)
        dist.all_reduce(value)
        total = int(value.item())
    finally:
        dist.destroy_process_group()
    if total != size:
        raise Unsound(f"{size} ranks add up to {total}", INTERFACE)
    return f"{size} ranks met in {time.monotonic() - began:.1f} s"


SHARED = "give a --workspace on a file system that all nodes share, under the same path"
INTERFACE = IN_SETUP.format('"export GLOO_SOCKET_IFNAME=NAME NCCL_SOCKET_IFNAME=NAME"') + (
    " with the NAME of the interface that nodes share (ip -brief address), or exclude: NODE"
)
GRES = "gres: gpu:TYPE:N as sinfo -o %G prints it, instead of gpus-per-node; or a torch that fits the driver"
NO_WORKERS = "give trainings --compute.loader-workers 0, or the container a larger --shm-size"
TMPDIR = IN_SETUP.format('"export TMPDIR=/tmp"')
NO_REQUEUE = "max-requeues: 0 and time: as much as the site allows; submit again after each time limit"
MEETS = "nodes: 1, until the site lets nodes connect to each other on ports from 10000 up"
CHECKS: dict[str, tuple[Callable[[Examination], str], str]] = {
    "shared folder": (_shared_folder, SHARED),
    "names": (_names, INTERFACE),
    "cores": (_cores, "cpus-per-task: fewer"),
    "/dev/shm": (_shared_memory, NO_WORKERS),
    "TMPDIR": (_temporary_files, TMPDIR),
    "requeue": (_requeue, NO_REQUEUE),
    "GPU and driver": (_gpu, GRES),
    "gloo": (partial(_meeting, "gloo"), f"{INTERFACE}; or {MEETS}"),
    "NCCL": (partial(_meeting, "nccl"), f"{INTERFACE}; on MIG devices gpus-per-node: 1"),
}
"""Each check, which returns what it found, and the remedy if it fails unexpectedly."""
