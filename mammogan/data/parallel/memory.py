"""Find out how much memory new processes may take, within the machine and within our container or SLURM job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def available(root: Path = Path("/")) -> int:
    """Return the bytes that new processes can take: the minimum of the machine's and of every cgroup's above us.

    ``root`` contains proc and sys.
    """
    return max(0, min([_of_machine(root), *_of_cgroups(root)]))


def _of_machine(root: Path) -> int:
    lines = (root / "proc/meminfo").read_text().splitlines()
    kib = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return 1024 * kib["MemAvailable"]


def _of_cgroups(root: Path) -> Iterator[int]:
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            top = root / "sys/fs/cgroup/memory"
        else:
            continue
        # In a container the path can be one of the host's: then only the top folder exists, and it is our group.
        here = top / path.strip("/")
        for folder in [here, *here.parents][: len(here.relative_to(top).parts) + 1]:
            yield from _left(folder, *names)


def _left(folder: Path, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    """Yield the bytes left in one group if it has a limit; inactive cached files count as free."""
    most, used = _text(folder / limit).strip(), _text(folder / usage).strip()
    if not (most.isdigit() and used.isdigit()):
        return
    cached = dict(line.split() for line in _text(folder / "memory.stat").splitlines() if line.count(" ") == 1)
    yield int(most) - int(used) + int(cached.get(reclaimable, 0))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
