"""When a training saves and when it ends: asked between two batches, by all ranks together."""

from __future__ import annotations

import time
from typing import Any

from mammogan.training.checkpoint import Run
from mammogan.training.preemption import ENDING, Preemption
from mammogan.training.progress import Reporter
from mammogan.training.saving import Resumable, Saver

NOTHING, SAVE, END = 0, 1, 2
"""What a rank wishes for between two batches; END + n is to end by the n-th signal of ENDING."""


class Keeper:
    """Keeps what a training has learned: saves every few minutes, and before it ends because a signal asks for that."""

    def __init__(self, training: Resumable, run: Run, reporter: Reporter, minutes: float) -> None:
        self.training, self.reporter, self.name = training, reporter, run.path.name
        self.seconds, self.asked, self.saver = minutes * 60, Preemption(), Saver(run)
        self._saved_at = time.monotonic()
        self._saved_place: tuple[int, int] | None = None

    def pause(self) -> None:
        """Save when it is time to, or when a signal has come to any rank, and then do as it asks.

        All ranks call this equally often, and it costs one exchange among their hosts. Signals are heard while
        ``asked.listening()``; when one asks to end, this does not return.
        """
        signal, due = self.asked.first, time.monotonic() - self._saved_at >= self.seconds
        wish = self.training.ranks.highest(int(due) if signal is None else END + ENDING.index(signal))
        if wish != NOTHING:
            self.save()
        if wish >= END:
            self._end(ENDING[wish - END])

    def save(self) -> None:
        """Hand the state to the thread that writes, unless it is the one that was saved last."""
        training, place = self.training, (self.training.epoch, self.training.batch)
        self._saved_at = time.monotonic()
        if place == self._saved_place:
            return
        training.lines = self.reporter.lines
        state = training.state()
        if training.ranks.first:
            self.saver.newest(state)
        self._saved_place = place

    def best(self, state: dict[str, Any]) -> None:
        """Keep ``state``, the networks alone, as the best so far."""
        if self.training.ranks.first:
            self.saver.best(state)

    def identity(self, state: dict[str, Any]) -> None:
        """Keep ``state``, the generator alone, as what it was before its adversary."""
        if self.training.ranks.first:
            self.saver.identity(state)

    def wait(self) -> None:
        """Until everything is on disk, for all ranks."""
        self.saver.wait()
        self.training.ranks.wait()

    def _end(self, signal: int) -> None:
        self.wait()
        place = f"epoch {self.training.epoch}, batch {self.training.batch}"
        self.reporter.note(f"{self.name}: saved at {place}; the same command goes on from here")
        self.asked.obey(signal)
