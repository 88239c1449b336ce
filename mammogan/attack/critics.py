"""Had these generators an adversary when they learned? What their runs' metrics.jsonl tells of the critic."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mammogan.training.checkpoint import Run
from mammogan.training.events import read_events

Facts = dict[str, Any]


def notices_of_dead_critics(runs: Path, generators: Iterable[Facts]) -> list[str]:
    """A sentence for each generator of an epoch whose critic was dead.

    ``generators`` are told by ``run``, the name of a folder in ``runs``, and ``epoch``, the finished ones. A run that
    is not there, or that did not watch its critic, is let through.
    """
    found = (_notice(Run(runs / made["run"]), made["epoch"]) for made in generators)
    return [notice for notice in found if notice]


def _notice(run: Run, finished: int) -> str:
    events = read_events(run.metrics)
    watched = [event for event in events if isinstance(event.get("critic_alive"), bool)]
    own = [event["critic_alive"] for event in watched if event.get("epoch") == finished - 1]
    if own != [False]:
        return ""
    alive = sum(event["critic_alive"] for event in watched)
    told = next((f": {event['told']}" for event in events if event.get("event") == "critic" and "told" in event), "")
    return (
        f"The generator of {run.path.name} had no adversary in the epoch that it comes from (a living critic in "
        f"{alive} of {len(watched)} epochs), so what it does is not what a critic taught it{told}."
    )
