"""Reads how far a training is from its run folder: config.yaml, metrics.jsonl and status.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from mammogan.errors import UserError
from mammogan.io.records import read_yaml_record
from mammogan.training.phases import Phase, Stop, recorded_phases
from mammogan.training.run.metrics_log import read_events, that_may_be_kept
from mammogan.training.run.status import Status, read_status

Facts = dict[str, Any]
EPOCHS = {"cad": {"epochs": int}, "gan": {"epochs": [int]}}
"""The shape of the setting without which no progress is known."""
CAD_FIGURES = ("focal", "penalty", "validation_auc")
GAN_FIGURES = ("identity", "gap", "validation_fooled")


@dataclass(frozen=True)
class Progress:
    """How far one training is. Epochs count from 1; a GAN's count within its phase."""

    phase: str | None = None
    epoch: int | None = None
    """The current epoch; the last one when it is done."""
    epochs: int | None = None
    """Most epochs."""
    rule: Stop | None = None
    """Rule that may end the phase sooner."""
    figures: dict[str, float] = field(default_factory=dict)
    """Means of the last finished epoch, the best validation figure so far, and for a GAN whether its critic was alive
    when it was last checked."""
    status: Status | None = None
    """What it does now; None when it does not run, or was killed."""


def progress_of(run: Path, kind: str, done: bool) -> Progress:
    """Return the progress of a 'cad' or a 'gan'; empty where the run has not begun or its files cannot be read.

    ``done``: whether it has its done.json.
    """
    config, events = _config(run, kind), read_events(run / "metrics.jsonl")
    if not config:
        return Progress()
    status = read_status(run)
    status = status if status and status.is_alive() else None
    epochs = [event for event in events if event["event"] == "epoch"]
    if kind == "cad":
        epoch = _current(len(epochs), status, done)
        figures = _figures(epochs[-1:], CAD_FIGURES) | _best("best_auc", epochs, "validation_auc")
        return Progress(None, min(epoch, config["epochs"]), config["epochs"], None, figures, status)
    return _of_gan(config, events, epochs, status, done)


def _of_gan(config: Facts, events: list[Facts], epochs: list[Facts], status: Status | None, done: bool) -> Progress:
    plan = [phase for phase in recorded_phases(config) if phase.epochs]
    phase = _phase(plan, events, status)
    own = [event for event in epochs if event.get("phase") == phase.name]
    before = len(epochs) - len(own)
    ended = done or (bool(events) and events[-1]["event"] == "phase" and events[-1].get("phase") == phase.name)
    epoch = _current(len(epochs), status, ended) - before
    figures = _figures(own[-1:], GAN_FIGURES) | _best("best_fooled", that_may_be_kept(epochs), "validation_fooled")
    figures |= _figures([event for event in epochs if "critic_alive" in event][-1:], ("critic_alive",))
    return Progress(phase.name, min(max(epoch, 0), phase.epochs), phase.epochs, phase.stop, figures, status)


def _phase(plan: Sequence[Phase], events: Sequence[Facts], status: Status | None) -> Phase:
    """Return the current phase: that of the last finished epoch, or the next one if that epoch ended its phase."""
    names = [phase.name for phase in plan]
    reported = [event for event in events if event.get("phase") in names]
    here = names.index(reported[-1]["phase"]) if reported else 0
    if reported and reported[-1]["event"] == "phase":
        here = min(here + 1, len(plan) - 1)
    if status and status.phase in names:
        here = max(here, names.index(status.phase))
    return plan[here]


def _current(finished: int, status: Status | None, ended: bool) -> int:
    """Return the current epoch, from 1: the one after the finished ones, or what its status says if that is later."""
    return finished if ended else max(finished + 1, status.epoch + 1 if status else 0)


def _figures(last: Sequence[Facts], names: Sequence[str]) -> dict[str, float]:
    return {name: event[name] for event in last for name in names if _is_number(event.get(name))}


def _best(name: str, epochs: Sequence[Facts], figure: str) -> dict[str, float]:
    values = [event[figure] for event in epochs if _is_number(event.get(figure))]
    return {name: max(values)} if values else {}


def _is_number(value: Any) -> bool:
    """Return whether a figure is a number: not None, when there was nothing to measure, and not NaN."""
    return isinstance(value, int | float) and isfinite(value)


def _config(run: Path, kind: str) -> Facts:
    """Return the settings in config.yaml; empty where they cannot be read: watching must never fail because of it."""
    try:
        config: Facts = read_yaml_record(run / "config.yaml", {"config": EPOCHS[kind]})["config"]
        if kind == "gan":
            recorded_phases(config)
        return config if config["epochs"] else {}
    except (OSError, UserError, ValueError, TypeError):
        return {}
