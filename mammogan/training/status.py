"""What a training does just now: status.json in its run folder, for whoever watches it from elsewhere.

It is there while the training runs, and removed when that ends; one that was killed leaves it behind.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from mammogan.files import read_json, write_text
from mammogan.writers import is_there, this_host

EVERY_SECONDS = 10.0
HEARD_SECONDS = 1800.0
"""A status older than this is of a training that was killed. Within an epoch it is new; a validation writes none."""
NUMBERS: dict[Any, Any] = {float: int | float, float | None: int | float | None}
"""JSON writes 2.0 as it likes."""


@dataclass(frozen=True)
class Status:
    """Where a training is and how fast; the first rank writes it."""

    epoch: int
    """That it is in, counted from 0 over all phases."""
    phase: str | None = None
    batch: int | None = None
    """Finished batches of the whole training."""
    batches: int | None = None
    """Of the whole training, at most."""
    images_per_second: float | None = None
    """Mean since it started or went on; None until there is one."""
    seconds_left: float | None = None
    """At most."""
    time: float = 0.0
    """When it was written, seconds since 1970."""
    pid: int = 0
    host: str = ""
    """A digest of the machine's name: enough to know one's own."""

    def write(self, run: Path) -> None:
        own = dataclasses.replace(self, time=round(time.time(), 3), pid=os.getpid(), host=this_host())
        write_text(run / "status.json", json.dumps(dataclasses.asdict(own)) + "\n")

    @property
    def is_of_this_host(self) -> bool:
        return self.host == this_host()

    def is_alive(self) -> bool:
        """Whether who wrote it still trains: its process here, or what was heard from elsewhere not long ago."""
        heard = time.time() - self.time < HEARD_SECONDS
        return heard and (not self.is_of_this_host or is_there(self.pid))


def read_status(run: Path) -> Status | None:
    """None where there is none, or where it cannot be read: watching must never fail because of it."""
    try:
        values: dict[str, Any] = read_json(run / "status.json")
        types = get_type_hints(Status)
        status = Status(**{name: value for name, value in values.items() if name in types})
        sound = all(isinstance(value, NUMBERS.get(types[name], types[name])) for name, value in vars(status).items())
        return status if sound else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def remove_status(run: Path) -> None:
    (run / "status.json").unlink(missing_ok=True)
