"""Do all ranks see the folder that the first one saves into? Asked at the start, not hours later when they resume."""

from __future__ import annotations

import socket
import time
import uuid
from pathlib import Path

from mammogan.config import UserError
from mammogan.training.distributed import Ranks
from mammogan.writers import temporary

LAG_SECONDS = 15.0
"""How late a shared file system may show on one node what another has written."""
POLL_SECONDS = 0.2


def check_shared(folder: Path, ranks: Ranks) -> None:
    """UserError on every rank when one of them does not see a file that the first rank writes into ``folder``."""
    if ranks.size == 1:
        return
    token = temporary(folder / uuid.uuid4().hex)  # so that one left behind is cleared away
    if ranks.first:
        folder.mkdir(parents=True, exist_ok=True)
        token.touch()
    name = ranks.gather(token.name)[0]
    told = ranks.gather((socket.gethostname(), _appears(folder, name)))
    if ranks.first:
        token.unlink()
    blind = [f"rank {rank} on {host}" for rank, (host, sees) in enumerate(told) if not sees]
    if blind:
        raise UserError(
            f"{folder} is not the same folder for all ranks: the first rank, on {told[0][0]}, saves there, and what it "
            f"writes does not appear within {LAG_SECONDS:g} s to {', '.join(blind)}. Give a --workspace on a file "
            "system that all nodes of the job share, under the same path on each"
        )


def _appears(folder: Path, name: str) -> bool:
    """Whether a file is there, or comes to be in time."""
    deadline = time.monotonic() + LAG_SECONDS
    while not (seen := name in _listed(folder)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return seen


def _listed(folder: Path) -> set[str]:
    """Names in a folder, none where there is no folder. A file asked for by name might be remembered as missing by NFS;
    opening the folder has it look again."""
    try:
        return {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return set()
