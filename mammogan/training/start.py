"""What every training does before its first step: join the ranks, check the run folder, resume, report, listen.

A training opens with ``joined_for``, builds its objects, and trains inside ``resumed``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.config import CadConfig, GanConfig
from mammogan.data.shards.index import ShardIndex
from mammogan.io.terminal import say
from mammogan.training.parallel.ranks import Ranks, joined
from mammogan.training.run.async_save import Resumable, resume
from mammogan.training.run.begun_with import begun_with
from mammogan.training.run.checkpointer import Checkpointer
from mammogan.training.run.preflight import refuse_grown
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.training.run.shared_folder import check_shared

Inputs = dict[str, Any]
"""What config.yaml records of a run besides its settings, such as the fingerprint of the shards."""


@dataclass(frozen=True)
class Start:
    """A run that may be trained now: its folder, its settings, its inputs and the ranks that train it."""

    run: Run
    config: CadConfig | GanConfig
    inputs: Inputs
    ranks: Ranks
    resumes: bool
    """Whether there is a checkpoint to resume from."""


@contextmanager
def joined_for(
    run: Run, config: CadConfig | GanConfig, checked_inputs: Callable[[], Inputs], shards: Path
) -> Iterator[Start | None]:
    """Join the ranks and check that the run may be trained; None if it is finished, which is reported.

    ``checked_inputs`` returns the run's inputs, or raises MissingInput or UserError if one cannot be used; ``shards``
    is the folder that it trains on. Raises UserError for a run that was started with other settings or inputs, or for a
    folder that the ranks do not share.
    """
    with joined(config.compute.device) as ranks:
        run.refuse_exported()
        check_shared(run.newest.parent, ranks)
        inputs = checked_inputs()
        refuse_grown(run, ShardIndex.load(shards))
        run.check(config, inputs)
        for change in run.changed_sources(inputs) if ranks.first else ():
            say(f"{run.path.name}: {change}")
        if ranks.any(run.is_finished(config)):
            run.refuse_lost_result()
            say(f"{run.path.name}: trained before, nothing to do.")
            yield None
        else:
            yield Start(run, config, inputs, ranks, ranks.any(run.has_state))


@contextmanager
def resumed(training: Resumable, start: Start, networks: str, notes: Iterable[str] = ()) -> Iterator[Checkpointer]:
    """Resume the training, record its settings, open its reporter, and receive signals inside this block.

    An existing run is left unchanged until it is certain that it can continue. ``networks`` describes what is trained
    and how, in the first line that is reported; ``notes`` follow it.
    """
    run, ranks, config = start.run, start.ranks, start.config
    messages = resume(training, run, config, start.inputs) if start.resumes else []
    if ranks.first:
        run.begin(config, start.inputs)
    reporter = Reporter(run, run.path.name, ranks.first, config.compute.tensorboard, training.lines, training.epoch)
    reporter.note(
        f"{run.path.name}: {ranks.size} rank(s) on {ranks.device.type}, {networks}, "
        f"from epoch {training.epoch}, batch {training.batch}"
    )
    for message in (*(f"{run.path.name}: {message}" for message in messages), *notes):
        reporter.note(message)
    begun = begun_with(config, start.inputs)
    checkpointer = Checkpointer(training, run, reporter, config.compute.save_minutes, begun)
    try:
        with checkpointer.preemption.listening():
            yield checkpointer
    finally:
        reporter.close()
