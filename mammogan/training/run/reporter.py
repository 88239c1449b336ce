"""Reports a training: one JSON line per event, a table for people, scalars and pictures for TensorBoard."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from torch import Tensor

from mammogan.data.loading.waiting import Waiting
from mammogan.io.atomic import replaced_atomically, write_text
from mammogan.io.own_files import file_exists
from mammogan.io.png_text import DESCRIPTION, NOTICE, png_text
from mammogan.io.temporary import this_host
from mammogan.io.terminal import duration, say
from mammogan.training.run.metrics_log import read_events
from mammogan.training.run.run_folder import Run
from mammogan.training.run.status import EVERY_SECONDS, Status, remove_status

LINE_SECONDS = 30.0
NARROW = 80
"""Columns of a terminal that is not wider."""
TABLE_ROWS = 12
NAMES = {
    "identity": "Eq. 7",
    "validation_fooled": "fooled",
    "validation_movement": "moved",
    "validation_auc": "AUC",
    "critic_sd": "s.d.",
    "critic_gradient": "grad",
    "auc_adversarial": "AUC",
    "critic_alive": "critic",
    "critic": "loss",
    "generator": "Gnet",
    "map_of_targets": "of targets",
    "images_per_second": "images/s",
    "validation_loss": "loss",
}
"""Short names of figures for the table on a terminal, which has 80 columns."""
LEAVE_FIRST = ("generator", "map_of_targets", "map", "r1", "identity", "critic_sd", "gap", "critic", "critic_gradient")
"""Figures that leave the table, in this order, as long as it is wider than the terminal."""
LEFT_OUT = (
    *("dis_real", "dis_fake", "validation_right", "validation_identity"),
    *("critic_sd_sources", "auc_source", "change", "kept"),
)
"""Figures that the table omits; the log has them.

The table also omits the penalty if it shows the critic's gradient, and skipped steps while there are none.
"""
WORDS_HEIGHT = 14
PICTURE_SIDE = 512
"""Mammograms in the run folder's pictures are shrunk to about this many pixels."""


class Reporter:
    """Reports one training. Only the first rank's reporter writes; the calls of other ranks do nothing.

    metrics.jsonl is the record. When a training resumes, it is cut to ``lines``, its length at the checkpoint, and
    TensorBoard starts again from ``epoch``, so nothing appears twice. On a terminal the last epochs are a live table,
    also those of before a resume, over the progress in batches; elsewhere plain lines. Until ``close``, status.json
    shows other programs the progress.
    """

    def __init__(self, run: Run, title: str, writes: bool, tensorboard: bool, lines: int = 0, epoch: int = 0) -> None:
        self.run, self.title, self.writes, self.lines = run, title, writes, 0
        self._rows: list[dict[str, Any]] = []
        """Figures of the last epochs."""
        self._live: Live | None = None
        self._writer: Any = None
        self._shown_at = self._began = time.monotonic()
        self._status_at = -EVERY_SECONDS
        self._done_at_start: int | None = None
        self._waited = 0.0
        if writes:
            self._cut_metrics(lines)
            self._rows = _epochs(run.metrics)
            Status(epoch).write(run.path)
            self._writer = _tensorboard(run.path / "tensorboard", epoch) if tensorboard else None
            if sys.stdout.isatty():
                self._live = Live(console=Console(), refresh_per_second=4)
                self._live.start()
                self._show_status(f"{title}: the first batch is under way")

    def event(self, name: str, **facts: Any) -> None:
        """Append one line to metrics.jsonl."""
        if not self.writes:
            return
        line = json.dumps({"event": name, "time": round(time.time(), 3), **facts})
        with open(self.run.metrics, "a", encoding="utf-8") as file:
            file.write(line + "\n")
        self.lines += 1

    def note(self, text: str) -> None:
        """Show a message to people, for things that happen once."""
        if self.writes and self._live is not None:
            self._live.console.print(text)
        elif self.writes:
            say(text)

    def batch(self, done: int, total: int, images: int, epoch: int, phase: str | None = None) -> None:
        """Record that ``done`` of ``total`` batches of the whole training are finished; report it if it is time to."""
        if not self.writes:
            return
        now = time.monotonic()
        first = self._done_at_start is None
        if self._done_at_start is None:
            self._done_at_start, self._began, self._waited = done, now - 1e-3, Waiting.seconds
        rate = max(1, done - self._done_at_start) / (now - self._began)
        left = (total - done) / rate
        if now - self._status_at >= EVERY_SECONDS:
            self._status_at = now
            waiting = round((Waiting.seconds - self._waited) / (now - self._began), 3)
            speed = (None, None, None) if first else (rate * images, left, waiting)  # the first batch was not timed
            Status(epoch, phase, done, total, *speed).write(self.run.path)
        if (first and self._live) or now - self._shown_at >= (0.25 if self._live else LINE_SECONDS):
            self._shown_at = now
            speed_text = "" if first else f", {rate * images:.1f} images/s, at most {duration(left)} left"
            self._show_status(f"{self.title} {phase or 'epoch'} {epoch}: batch {done} of {total}{speed_text}")

    def _show_status(self, status: str) -> None:
        if self._live:
            self._live.update(self._table(status))
        else:
            say(status)

    def epoch(self, epoch: int, **facts: Any) -> None:
        """Write the figures of a finished epoch to metrics.jsonl, TensorBoard and the terminal."""
        self.event("epoch", epoch=epoch, **facts)
        if not self.writes:
            return
        if self._writer is not None:
            for name, value in facts.items():
                if isinstance(value, int | float):
                    self._writer.add_scalar(name, value, epoch)
        self._rows = [*self._rows, {"epoch": epoch, **facts}][-TABLE_ROWS:]
        if self._live:
            self._live.update(self._table(""))
        else:
            say(f"{self.title} epoch {epoch}: " + ", ".join(f"{k} {_short(v)}" for k, v in facts.items()))

    def triplets(self, epoch: int, real: Tensor, fake: Tensor) -> None:
        """Save rows of original | adversarial | difference (grey is no change) from floats in [0,1] of shape (N,1,H,W),
        below words that say which is which."""
        if not self.writes:
            return
        difference = (0.5 + 2 * (fake - real)).clamp(0, 1)
        side_by_side = torch.cat([real, fake, difference], 3).float()
        shrink = max(1, max(real.shape[2:]) // PICTURE_SIDE)
        shrunk = F.avg_pool2d(side_by_side, shrink).cpu().numpy()
        picture = _with_words((np.vstack(list(shrunk[:, 0])) * 255).round().astype(np.uint8))
        with replaced_atomically(self.run.path / "pictures" / f"epoch-{epoch:04d}.png") as temporary:
            Image.fromarray(picture).save(temporary, format="png", pnginfo=png_text({DESCRIPTION: NOTICE}))
        if self._writer is not None:
            self._writer.add_image("original, SYNTHETIC, difference", picture, epoch, dataformats="HW")

    def close(self) -> None:
        """Remove status.json, and stop the live table and TensorBoard."""
        if self.writes:
            remove_status(self.run.path)
        if self._live is not None:
            self._live.stop()
        if self._writer is not None:
            self._writer.close()

    def _cut_metrics(self, lines: int) -> None:
        """Cut metrics.jsonl to its first ``lines`` lines."""
        if file_exists(self.run.metrics):
            kept = self.run.metrics.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)[:lines]
            write_text(self.run.metrics, "".join(kept))
            self.lines = len(kept)

    def _table(self, status: str) -> RenderableType:
        if not self._rows:  # a table without columns would show nothing, the status neither
            return Text(status)
        table = Table(title=self.title, caption=status, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        names = _fitting(_shown(self._rows), self._rows, self._live.console.width if self._live else NARROW)
        for name in names:
            table.add_column(NAMES.get(name, name), justify="right")
        for row in self._rows:
            table.add_row(*(_cell(name, row.get(name, "")) for name in names))
        return table


def _with_words(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture of three columns with their names above, of which the middle one is synthetic."""
    width = picture.shape[1]
    strip = Image.new("L", (width, WORDS_HEIGHT))
    for column, word in enumerate(("original", "SYNTHETIC", "difference")):
        ImageDraw.Draw(strip).text((column * width // 3 + 2, 1), word, fill=255)
    return np.vstack([np.array(strip), picture])


def _epochs(metrics: Path) -> list[dict[str, Any]]:
    """Return the figures of the last epochs in metrics.jsonl, which a training that resumes goes on with."""
    epochs = [event for event in read_events(metrics) if event["event"] == "epoch"]
    return [{k: v for k, v in event.items() if k not in ("event", "time")} for event in epochs[-TABLE_ROWS:]]


def _shown(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the columns of the table on a terminal."""
    figures = dict.fromkeys(name for row in rows for name in row if name not in LEFT_OUT)
    omitted = {"penalty"} if "critic_gradient" in figures else set()
    omitted |= set() if any(row.get("skipped") for row in rows) else {"skipped"}
    return [name for name in figures if name not in omitted]


def _fitting(names: Sequence[str], rows: Sequence[dict[str, Any]], width: int) -> list[str]:
    """Leave out figures until the table fits ``width`` columns; the log has all of them."""
    wide = {
        name: max(len(NAMES.get(name, name)), *(len(_cell(name, row.get(name, ""))) for row in rows)) for name in names
    }
    for leaving in LEAVE_FIRST:
        if sum(wide.values()) + 2 * len(wide) < width:
            break
        wide.pop(leaving, None)
    return list(wide)


def _cell(name: str, value: Any) -> str:
    if name == "critic_alive" and isinstance(value, bool):
        return "alive" if value else "dead"
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _tensorboard(folder: Path, epoch: int) -> Any:
    """Return a TensorBoard writer that replaces what a lost run wrote from ``epoch`` on.

    TensorBoard puts the machine's name into its files' names; here they get a digest of it.
    """
    from tensorboard.summary.writer import event_file_writer
    from torch.utils.tensorboard import SummaryWriter

    sockets = event_file_writer.socket
    event_file_writer.socket = SimpleNamespace(gethostname=this_host)
    try:
        return SummaryWriter(str(folder), purge_step=epoch)
    finally:
        event_file_writer.socket = sockets
