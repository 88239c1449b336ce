"""Checks at the start, not hours later when resuming, that all ranks see the folder the first rank saves into."""

from __future__ import annotations

import socket
import time
import uuid
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.temporary import temporary
from mammogan.training.parallel.ranks import Ranks

LAG_SECONDS = 15.0
"""Longest delay until a shared file system shows on one node what another has written."""
POLL_SECONDS = 0.2


def check_shared(folder: Path, ranks: Ranks) -> None:
    """Raise UserError on every rank if any rank does not see a file that the first rank writes into ``folder``."""
    if ranks.size == 1:
        return
    token = temporary(folder / uuid.uuid4().hex)  # a temporary name, so that a leftover file is removed later
    if ranks.first:
        folder.mkdir(parents=True, exist_ok=True)
        token.touch()
    name = ranks.gather(token.name)[0]
    answers = ranks.gather((socket.gethostname(), _appears(folder, name)))
    if ranks.first:
        token.unlink()
    blind = [f"rank {rank} on {host}" for rank, (host, sees) in enumerate(answers) if not sees]
    if blind:
        raise UserError(
            f"{folder} is not the same folder for all ranks: the first rank, on {answers[0][0]}, saves there, and its "
            f"file does not appear within {LAG_SECONDS:g} s to {', '.join(blind)}. Give a --workspace on a file "
            "system that all nodes of the job share, under the same path on each"
        )


def _appears(folder: Path, name: str) -> bool:
    """Return whether a file is there, or appears within LAG_SECONDS."""
    deadline = time.monotonic() + LAG_SECONDS
    while not (seen := name in _listed(folder)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return seen


def _listed(folder: Path) -> set[str]:
    """Return the names in a folder; an empty set if there is no folder.

    NFS may remember a single file as missing; opening the folder makes it look again.
    """
    try:
        return {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return set()
