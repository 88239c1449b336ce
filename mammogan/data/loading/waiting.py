"""Measures how long this process has waited for training data: a GPU that waits long needs more loader workers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Waiting:
    """The seconds that this process has waited for data since it started."""

    seconds = 0.0


def timed(batches: Iterable[T]) -> Iterator[T]:
    """Yield ``batches``, and add the time until each one is there to ``Waiting.seconds``."""
    found = iter(batches)
    while True:
        began = time.monotonic()
        try:
            batch = next(found)
        except StopIteration:
            return
        finally:
            Waiting.seconds += time.monotonic() - began
        yield batch
