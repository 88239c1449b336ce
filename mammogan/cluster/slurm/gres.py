"""Counts the GPUs in a --gres request, which SLURM writes as name[:type][:count], such as gpu:1g.10gb:4."""

from __future__ import annotations

import re

from mammogan.errors import UserError


def gpus_of(gres: str) -> int:
    """Return the number of GPUs in a gres such as gpu:a100:4 or gpu:2,nvme:1; a UserError where there are none."""
    found = sum(_count(item) for item in gres.split(",") if _is_gpu(item))
    if found < 1:
        raise UserError(f"--gres {gres}: expected gpu:N or gpu:TYPE:N in it, since each rank takes one GPU")
    return found


def with_one_gpu(gres: str) -> str:
    """Return the same request with one GPU, of the first type, in place of all of them."""
    items = gres.split(",")
    first = next(item for item in items if _is_gpu(item) and _count(item))
    one = re.sub(r":\d+$", "", first) + ":1"
    return ",".join(one if item == first else item for item in items if item == first or not _is_gpu(item))


def _is_gpu(item: str) -> bool:
    return item.partition(":")[0] == "gpu"


def _count(item: str) -> int:
    """Return an item's count: its last part if that is a number. A type may begin with digits and contain any of
    - . _"""
    last = item.rpartition(":")[2]
    return int(last) if last.isdigit() else 1
