"""Check, from the metrics.jsonl of the training runs, whether each generator had a living critic when it was
trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mammogan.training.run.metrics_log import read_events
from mammogan.training.run.run_folder import Run

Facts = dict[str, Any]


def notices_of_dead_critics(runs: Path, generators: Iterable[Facts]) -> list[str]:
    """Return a sentence for each generator that comes from an epoch whose critic was dead.

    Each of ``generators`` has ``run``, the name of a folder in ``runs``, and ``epoch``, the number of finished epochs.
    Runs that are missing or did not watch their critic are skipped.
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
    messages = (event.get("message", event.get("told")) for event in events if event.get("event") == "critic")
    message = next((f": {text}" for text in messages if text), "")  # earlier versions called it told
    return (
        f"The generator of {run.path.name} comes from an epoch without a living critic (a living critic in "
        f"{alive} of {len(watched)} epochs), so its changes were not taught by a critic{message}."
    )
