"""Checkpoints written while the training goes on: what is saved is copied at once, a thread takes it to disk."""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import torch

from mammogan.training.checkpoint import Run, load, load_newest, save
from mammogan.training.distributed import Ranks


class Resumable(Protocol):
    """A training that can be saved between two batches."""

    ranks: Ranks
    epoch: int
    """Finished epochs."""
    batch: int
    """Finished batches of the next."""
    lines: int
    """Of metrics.jsonl, at the state that is saved."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values, to be asked for by all ranks together."""

    def restore(self, state: dict[str, Any]) -> None: ...

    def adopt(self, best: dict[str, Any]) -> None:
        """Take the networks of best.pt as the best so far if they came after the state that was restored.

        Its epoch is then trained again, and elsewhere than on the same ranks of CPUs it may end a little worse.
        """


def resume(training: Resumable, run: Run) -> list[str]:
    """Restore the newest good state on every rank. Sentences for the user: what was damaged, and what changes now.

    A damaged newest.pt is replaced by the good one, so that saving keeps that one and not the damaged.
    """
    state, told = load_newest(run)
    training.restore(state)
    if run.best.is_file():
        training.adopt(load(run.best))
    training.ranks.agree((training.epoch, training.batch))
    if told and training.ranks.first:
        run.previous.replace(run.newest)
    before, now = len(state["sums"]), training.ranks.size
    changes = (
        f"saved by {before} rank(s), going on with {now}: batches, augmentation and dropout are the same, sums over a "
        "batch are rounded differently"
    )
    return [*([told] if told else []), *([changes] if before != now else [])]


class Saver:
    """Writes newest.pt, best.pt and identity.pt of one run, in the order in which they are given.

    A save returns once the state is copied to the host's memory; the next one of the same file waits for the former.
    What goes wrong while writing, as on a full disk, is raised by the next save of that file, or by ``wait``.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._thread = ThreadPoolExecutor(1, "saving")
        self._written: dict[Path, Future[None]] = {}

    def newest(self, state: dict[str, Any]) -> None:
        """What newest.pt held before is kept as newest-1.pt."""
        self._save(self.run.newest, state, self.run.previous)

    def best(self, state: dict[str, Any]) -> None:
        self._save(self.run.best, state)

    def identity(self, state: dict[str, Any]) -> None:
        self._save(self.run.identity, state)

    def wait(self) -> None:
        """Until all that was given is on disk."""
        for written in self._written.values():
            written.result()

    def _save(self, path: Path, state: dict[str, Any], keep: Path | None = None) -> None:
        if path in self._written:
            self._written[path].result()
        self._written[path] = self._thread.submit(save, path, snapshot(state), keep)


def snapshot(value: Any) -> Any:
    """A copy of a state, its tensors in the host's memory: it stays what it is while the training goes on."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):  # a module's state also has attributes, which a plain copy keeps
        taken = copy.copy(value)
        taken.update((name, snapshot(part)) for name, part in value.items())
        return taken
    if isinstance(value, list | tuple):
        return type(value)(snapshot(part) for part in value)
    return value
