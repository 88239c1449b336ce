"""The progress of a training for those who watch it from elsewhere, and when a training counts as killed.

It is status.json in the run folder: written while the training runs, and removed at its end. A killed training leaves
it behind; it counts as killed when the file is older than HEARD_SECONDS, or its process on this machine is gone.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from mammogan.io.atomic import read_json, write_text
from mammogan.io.temporary import is_there, this_host

EVERY_SECONDS = 10.0
HEARD_SECONDS = 1800.0
"""A status older than this belongs to a killed training.

Within an epoch it is updated often; a validation does not update it.
"""
NUMBERS: dict[Any, Any] = {float: int | float, float | None: int | float | None}
"""JSON may write 2.0 as 2, so ints are accepted for floats."""


@dataclass(frozen=True)
class Status:
    """Where a training is and how fast it runs; written by the first rank."""

    epoch: int
    """The current epoch, counted from 0 over all phases."""
    phase: str | None = None
    batch: int | None = None
    """Finished batches of the whole training."""
    batches: int | None = None
    """Batches of the whole training, at most."""
    images_per_second: float | None = None
    """Mean since the training started or resumed; None until it is known."""
    seconds_left: float | None = None
    """Remaining time, at most."""
    waiting_share: float | None = None
    """Share of the time since then in which the first rank waited for data."""
    time: float = 0.0
    """When it was written, in seconds since 1970."""
    pid: int = 0
    host: str = ""
    """A digest of the machine's name, enough to recognise this machine."""

    def write(self, run: Path) -> None:
        own = dataclasses.replace(self, time=round(time.time(), 3), pid=os.getpid(), host=this_host())
        write_text(run / "status.json", json.dumps(dataclasses.asdict(own)) + "\n")

    @property
    def is_of_this_host(self) -> bool:
        return self.host == this_host()

    def is_alive(self) -> bool:
        """Return whether the training still runs: its status is recent and its process, if on this machine, exists."""
        is_recent = time.time() - self.time < HEARD_SECONDS
        return is_recent and (not self.is_of_this_host or is_there(self.pid))


def read_status(run: Path) -> Status | None:
    """Return the status, or None if there is none or it cannot be read: watching must never fail because of it."""
    try:
        values: dict[str, Any] = read_json(run / "status.json")
        types = get_type_hints(Status)
        status = Status(**{name: value for name, value in values.items() if name in types})
        sound = all(isinstance(value, NUMBERS.get(types[name], types[name])) for name, value in vars(status).items())
        return status if sound else None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def remove_status(run: Path) -> None:
    (run / "status.json").unlink(missing_ok=True)
