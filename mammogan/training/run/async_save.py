"""Write checkpoints while the training continues, and resume from the newest sound one.

The state is copied at once, and a thread writes the copy to disk.
"""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import torch

from mammogan.io.own_files import file_exists
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.begun_with import changes_of_checkpoint
from mammogan.training.run.checkpoint import load, load_newest, save
from mammogan.training.run.checkpoint_kind import check_resumable, check_same_training, refuse_no_numbers, with_weights
from mammogan.training.run.run_folder import Run


class Resumable(Protocol):
    """A training that can be saved between two batches."""

    ranks: Ranks
    epoch: int
    """Finished epochs."""
    batch: int
    """Finished batches of the current epoch."""
    lines: int
    """Number of lines in metrics.jsonl when the state was saved."""

    def state(self) -> dict[str, Any]:
        """Return tensors and plain values for a checkpoint. All ranks must call it together."""

    def restore(self, state: dict[str, Any]) -> None: ...

    def adopt(self, best: dict[str, Any]) -> None:
        """Take the figures of best.pt as the best so far if it is newer than the restored state.

        The epoch it came from is then trained again; except on the same number of CPU ranks, it may end slightly worse.
        """


def resume(training: Resumable, run: Run, config: Any, inputs: dict[str, Any]) -> list[str]:
    """Restore the newest good state on every rank, if it was begun with these settings and inputs.

    Returns messages for the user: which file was damaged, and what is different now. A damaged newest.pt is replaced by
    the good newest-1.pt, so that the next save keeps the good one. Raises MissingInput or UserError if there is no good
    state, or if it belongs to another training.
    """
    state, message = load_newest(run)
    ours, newest = training.state(), run.previous if message else run.newest
    check_same_training(newest, state, ours, changes_of_checkpoint(state, config, inputs))
    check_resumable(newest, state)
    refuse_no_numbers(newest, state)
    with_weights(newest, state, lambda: training.restore(state))
    if file_exists(run.best):
        best = load(run.best)
        check_same_training(run.best, best, ours, changes_of_checkpoint(best, config, inputs))
        with_weights(run.best, best, lambda: training.adopt(best))
    training.ranks.agree((training.epoch, training.batch))
    if message and training.ranks.first:
        run.previous.replace(run.newest)
    sums = state["sums"]
    before, now = len(sums["sums"] if isinstance(sums, dict) else sums), training.ranks.size
    changes = (
        f"saved by {before} rank(s), resuming with {now}: batches, augmentation and dropout are the same, sums over a "
        "batch are rounded differently"
    )
    return [*([message] if message else []), *([changes] if before != now else [])]


class Saver:
    """Writes newest.pt, best.pt and identity.pt of one run, in the order in which they are given.

    A save returns once the state is copied to host memory; the next save of the same file waits for the previous one.
    Errors while writing, such as a full disk, are raised by the next save of that file or by ``wait``.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._thread = ThreadPoolExecutor(1, "saving")
        self._written: dict[Path, Future[None]] = {}

    def newest(self, state: dict[str, Any]) -> None:
        """Save newest.pt; its previous content is kept as newest-1.pt."""
        self._save(self.run.newest, state, self.run.previous)

    def best(self, state: dict[str, Any]) -> None:
        self._save(self.run.best, state)

    def identity(self, state: dict[str, Any]) -> None:
        self._save(self.run.identity, state)

    def wait(self) -> None:
        """Wait until everything is on disk."""
        for written in self._written.values():
            written.result()

    def _save(self, path: Path, state: dict[str, Any], keep: Path | None = None) -> None:
        if path in self._written:
            self._written[path].result()
        self._written[path] = self._thread.submit(save, path, snapshot(state), keep)


def snapshot(value: Any) -> Any:
    """Copy a state, its tensors to host memory, so that it does not change while the training continues."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):  # a module's state dict also has attributes, which copy.copy keeps
        taken = copy.copy(value)
        taken.update((name, snapshot(part)) for name, part in value.items())
        return taken
    if isinstance(value, list | tuple):
        return type(value)(snapshot(part) for part in value)
    return value
