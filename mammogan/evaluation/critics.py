"""Check whether a fooled rate means anything: whether the CAD reads better than chance, and whether each generator had
a living critic when it was trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mammogan.io.own_files import file_exists
from mammogan.statistics.figure import Figure
from mammogan.training.run.cad_record import CadReading, notice
from mammogan.training.run.metrics_log import damaged_lines, read_events
from mammogan.training.run.run_folder import Run

Facts = dict[str, Any]


def notice_of_weak_cad(reading: CadReading | None, table: Mapping[str, Figure]) -> str:
    """Return a notice if the CAD is not known to read better than chance: by what its run records of validation, or by
    these mammograms; empty if it is. ``CadReading.why_weak`` has the rule for both."""
    if found := notice(reading):
        return found
    if not (reasons := _reading_in(table).why_weak()):
        return ""
    return (
        f"On these mammograms the CAD is not known to read better than chance ({reasons}): whether it is fooled means "
        "nothing."
    )


def _reading_in(table: Mapping[str, Figure]) -> CadReading:
    """Return how well the CAD reads the mammograms of Table 1."""
    area, positives, negatives = (table[name] for name in ("auc_real", "positives_right", "negatives_right"))
    return CadReading(
        auc=area.value,
        auc_low=area.low,
        auc_high=area.high,
        positives_right=positives.numerator or 0,
        positives=positives.denominator or 0,
        negatives_right=negatives.numerator or 0,
        negatives=negatives.denominator or 0,
    )


def notices_of_dead_critics(runs: Path, generators: Iterable[Facts]) -> list[str]:
    """Return a sentence for each generator that comes from an epoch whose critic was dead.

    Each of ``generators`` has ``run``, the name of a folder in ``runs``, and ``epoch``, the number of finished epochs.
    Runs that are missing or did not watch their critic are skipped; a log that cannot be read is told of.
    """
    found = (_notice(Run(runs / made["run"]), made["epoch"]) for made in generators)
    return [notice for notice in found if notice]


def _notice(run: Run, finished: int) -> str:
    if not file_exists(run.metrics):
        return ""
    events = read_events(run.metrics)
    watched = [event for event in events if isinstance(event.get("critic_alive"), bool)]
    own = [event["critic_alive"] for event in watched if event.get("epoch") == finished - 1]
    if own != [True] and (damaged := damaged_lines(run.metrics)):
        return (
            f"{damaged} lines in metrics.jsonl of {run.path.name} cannot be read, so it is not known whether its "
            "generator comes from an epoch with a living critic."
        )
    if own != [False]:
        return ""
    alive = sum(event["critic_alive"] for event in watched)
    messages = (event.get("message", event.get("told")) for event in events if event.get("event") == "critic")
    message = next((f": {text}" for text in messages if text), "")  # earlier versions called it told
    return (
        f"The generator of {run.path.name} comes from an epoch without a living critic (a living critic in "
        f"{alive} of {len(watched)} epochs), so its changes were not taught by a critic{message}."
    )
