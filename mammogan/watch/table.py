"""Shows the stages of a workspace as plain lines, or as a table on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from mammogan.io.terminal import duration, in_columns
from mammogan.watch.stage_status import StageStatus
from mammogan.watch.view import View, seconds_left

if TYPE_CHECKING:
    from rich.console import RenderableType

HEADS = ("stage", "state", "progress", "figures", "images/s", "left")
COLOURS = {"running": "green", "waiting": "yellow", "failed": "red", "cancelled": "red", "stopped": "magenta"}
SIGNS = {"below": "<", "above": ">"}
SHOWN_WAITING = 0.05
"""Smallest share of the time that a training waits for data that is shown."""
SHOWN_FAILED = 5
"""Most failed shards that are named."""


def plain(view: View) -> str:
    """Return one line per stage, of any length, then what went wrong."""
    lines = in_columns([HEADS, *(_cells(status, view.time) for status in view.statuses)])
    below = [line for lines_of in (what_went_wrong, _usage) for status in view.statuses for line in lines_of(status)]
    return "\n".join([_title(view), "", *lines, *([""] if below else []), *below])


def table(view: View) -> RenderableType:
    """Return a table for a terminal: long cells are folded, nothing is cut off."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), title=_title(view), title_justify="left")
    for head in HEADS:
        whole = head in ("stage", "progress")
        shown.add_column(head, overflow="fold", no_wrap=whole, justify="right" if head == "images/s" else "left")
    for status in view.statuses:
        name, state, *others = _cells(status, view.time)
        dim = "dim" if status.state in ("to do", "done") else ""
        coloured = Text(state, style=COLOURS.get(status.state, ""))
        shown.add_row(Text(name), coloured, *(Text(cell) for cell in others), style=dim)
    wrong = [
        Text(line, style="" if line.startswith(" ") else "red") for s in view.statuses for line in what_went_wrong(s)
    ]
    used = [Text(line, style="dim") for status in view.statuses for line in _usage(status)]
    return Group(shown, *wrong, *used)


def _title(view: View) -> str:
    done = sum(status.state == "done" for status in view.statuses)
    at = datetime.fromtimestamp(view.time).strftime("%H:%M:%S")
    source = "" if view.slurm in ("squeue and sacct", "not asked") else f" (states from {view.slurm})"
    if any(status.state == "unknown" for status in view.statuses):
        source = f" ({view.slurm})"
    return f"{view.workspace.root} at {at}: {done} of {len(view.statuses)} stages done{source}"


def _cells(found: StageStatus, now: float) -> tuple[str, ...]:
    status, left = found.progress.status, seconds_left(found, now)
    speed = f"{status.images_per_second:.1f}" if status and status.images_per_second is not None else ""
    ago = f"{duration(now - found.changed)} ago" if found.state == "stopped" and found.changed else ""
    restarts = f", restarts {found.restarts}" if found.restarts else ""
    figures = ", ".join(_figures(found))
    return found.stage.name, found.message + restarts, _progress(found), figures, speed, duration(left) if left else ago


def _progress(found: StageStatus) -> str:
    progress = found.progress
    if progress.epoch is not None:
        return f"{progress.phase or 'epoch'} {progress.epoch} of {progress.epochs}"
    if found.shards and (found.shards[0] or found.shards[1]):
        done, of = found.shards
        return f"{done} of {of} shards" if of else f"{done} shards"
    return ""


def _figures(found: StageStatus) -> Iterator[str]:
    """Yield a training's stop rule and its most important figures, or the states of an array's tasks."""
    figures, rule = found.progress.figures, found.progress.rule
    if not figures.get("critic_alive", True):
        yield "critic dead"
    if found.stage.kind == "gan" and found.state == "done":
        yield from _shares(figures, best_fooled="best fooled")
        return
    if rule:
        value = f"{figures[rule.figure]:.3g}" if rule.figure in figures else "?"
        yield f"{rule.figure} {value}, ends {SIGNS[rule.side]} {rule.limit:g}"
    for name in ("focal", "penalty", "gap"):
        if name in figures and not (rule and rule.figure == name):
            yield f"{name} {figures[name]:.3g}"
    if "best_auc" in figures:
        yield f"best AUC {figures['best_auc']:.3f}"
    yield from _shares(figures, validation_fooled="fooled")
    if found.progress.status and (share := found.progress.status.waiting_share or 0) >= SHOWN_WAITING:
        yield f"waits {share:.0%} for data"
    if found.tasks and found.state != "done":
        tasks = found.tasks
        counts = {"running": tasks.running, "waiting": tasks.waiting, "failed": len(tasks.failed)}
        yield f"tasks: {tasks.done} of {tasks.all} done"
        yield from (f"{count} {name}" for name, count in counts.items() if count)


def _shares(figures: dict[str, float], **names: str) -> Iterator[str]:
    return (f"{shown} {figures[name]:.0%}" for name, shown in names.items() if name in figures)


def what_went_wrong(found: StageStatus) -> list[str]:
    """Return lines that say what went wrong in a stage, and in which log."""
    failed = found.tasks.failed if found.tasks else ()
    if not (found.error or failed or (found.state == "failed" and found.log)):
        return []
    lines = [f"{found.stage.name} {found.message}: {found.error}".rstrip(": ")]
    if failed:
        more = f" and {len(failed) - SHOWN_FAILED} more" if len(failed) > SHOWN_FAILED else ""
        lines.append(f"  shards  {', '.join(failed[:SHOWN_FAILED])}{more}")
    return [*lines, *([f"  log     {found.log}"] if found.log else [])]


def _usage(found: StageStatus) -> list[str]:
    return [f"{found.stage.name} on {found.usage}"] if found.usage else []
