"""Decides when a training saves and when it ends: between two batches, by all ranks together."""

from __future__ import annotations

import time
from typing import Any

from mammogan.training.run.async_save import Resumable, Saver
from mammogan.training.run.begun_with import BEGUN_WITH
from mammogan.training.run.preemption import ENDING, Preemption
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run

NOTHING, END = 0, 2
"""What a rank wants between two batches: 1 means to save, END + n to end because of the n-th signal of ENDING."""


class Checkpointer:
    """Saves a training every few minutes, and before it ends because of a signal."""

    def __init__(
        self, training: Resumable, run: Run, reporter: Reporter, minutes: float, begun_with: dict[str, Any]
    ) -> None:
        self.begun_with = {BEGUN_WITH: begun_with}
        """Recorded in every checkpoint, so that one of another training is known."""
        self.training, self.reporter, self.name = training, reporter, run.path.name
        self.seconds, self.preemption, self.saver = minutes * 60, Preemption(), Saver(run)
        self._saved_at = time.monotonic()
        self._saved_place: tuple[int, int] | None = None

    def pause(self) -> None:
        """Save if it is time to, or if any rank received a signal, and then obey the signal.

        All ranks call this equally often; it costs one exchange among their hosts. Signals are only received inside
        ``preemption.listening()``. If one requests the end, this function does not return, unless a launcher's handler
        continues.
        """
        signal, due = self.preemption.first, time.monotonic() - self._saved_at >= self.seconds
        request = self.training.ranks.highest(int(due) if signal is None else END + ENDING.index(signal))
        if request != NOTHING:
            self.save()
        if request >= END:
            self._end(ENDING[request - END])

    def save(self) -> None:
        """Hand the state to the writing thread, unless it is the state that was saved last."""
        training, place = self.training, (self.training.epoch, self.training.batch)
        self._saved_at = time.monotonic()
        if place == self._saved_place:
            return
        training.lines = self.reporter.lines
        state = training.state()
        if training.ranks.first:
            self.saver.newest(state | self.begun_with)
        self._saved_place = place

    def best(self, state: dict[str, Any]) -> None:
        """Save ``state``, the networks alone, as the best so far."""
        if self.training.ranks.first:
            self.saver.best(state | self.begun_with)

    def identity(self, state: dict[str, Any]) -> None:
        """Save ``state``, the generator alone, as it was before adversarial training."""
        if self.training.ranks.first:
            self.saver.identity(state | self.begun_with)

    def wait(self) -> None:
        """Wait until everything is on disk, on all ranks."""
        self.saver.wait()
        self.training.ranks.wait()

    def _end(self, signal: int) -> None:
        self.wait()
        place = f"epoch {self.training.epoch}, batch {self.training.batch}"
        self.reporter.note(f"{self.name}: saved at {place}; the same command resumes from here")
        self.preemption.obey(signal)
