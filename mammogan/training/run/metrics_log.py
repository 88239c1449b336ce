"""Read the events of a training from its metrics.jsonl. Imports nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Event = dict[str, Any]


def read_events(metrics: Path) -> list[Event]:
    """Return the lines of metrics.jsonl that name their event; unfinished and damaged lines are skipped."""
    try:
        lines = metrics.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [event for line in lines if (event := _event(line))]


def damaged_lines(metrics: Path) -> int:
    """Count the lines of metrics.jsonl that are no events; an unfinished last one, as a kill leaves it, is none."""
    try:
        lines = metrics.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except OSError:
        return 0
    return sum(not _event(line) for line in lines if line.endswith("\n"))


def that_may_be_kept(epochs: Sequence[Event]) -> Sequence[Event]:
    """Return the epoch whose generator is kept as the best one, never one of the warm-up.

    Logs of earlier versions do not say which that is: of those, all epochs with a living critic.
    """
    if kept := [event for event in epochs if event.get("kept") is True]:
        return kept[-1:]
    judged = [event for event in epochs if "critic_alive" in event]
    if judged:
        return [event for event in judged if event["critic_alive"] is True]
    return [event for event in epochs if not str(event.get("phase")).startswith("warm")]


def _event(line: str) -> Event:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else {}
