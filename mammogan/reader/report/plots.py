"""Pictures of the reading report: who tells fakes from originals, who learns, who hurries.

Each has a ``note`` written above it, which says what was shown and whether programs answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mammogan.evaluation.report.plot_style import FAKE, HAIR, INSERT, MUTED, REAL, REMOVE, drawing
from mammogan.reader.readings import Readings
from mammogan.reader.report.detector_table import detector_curve, scored_sessions
from mammogan.reader.statistics.answers import Answer, mixed_sessions, of_session, readers_of, sessions_of
from mammogan.reader.statistics.detection import detection_of, roc_points
from mammogan.reader.statistics.reading_time import TENTHS, accuracy_by_part

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = (REAL, FAKE, REMOVE, INSERT, "#6b4fa0", "#8a7a1f", MUTED)
LINES = {"network": "--", "spectrum": ":"}
"""Line style of each detector."""


def colour_of(answers: Sequence[Answer]) -> dict[str, str]:
    """Return a colour for each reader, the same in all pictures."""
    return {reader: COLOURS[i % len(COLOURS)] for i, reader in enumerate(readers_of(answers))}


def draw_detection(path: Path, readings: Readings, note: str) -> None:
    """Draw d' against criterion, an arrow from each reader's first session with fakes to the last."""
    answers = readings.answers
    with drawing(path, 1, (5.2, 4.2), note) as (_, (panel,)):
        panel.axhline(0, color=HAIR, lw=1, zorder=0)
        panel.axvline(0, color=HAIR, lw=1, zorder=0)
        for reader, colour in colour_of(answers).items():
            _detection_of(panel, answers, reader, colour)
        panel.set(xlabel="criterion: < 0 says not real readily, > 0 rarely", ylabel="d′: 0 is guessing")
        panel.legend(title="circle: first session, diamond: last", loc="best")


def _detection_of(panel: Axes, answers: Sequence[Answer], reader: str, colour: str) -> None:
    found = [detection_of(of_session(answers, reader, session)) for session in mixed_sessions(answers)]
    points = [(one.criterion, one.d_prime, one.low, one.high) for one in found if one]
    if not points:
        return
    x, y = [point[0] for point in points], [point[1] for point in points]
    panel.plot(x, y, color=colour, lw=1.2, label=reader)
    panel.vlines(x, [p[2] for p in points], [p[3] for p in points], color=colour, lw=0.8, alpha=0.5)
    panel.plot(x[0], y[0], "o", color=colour, ms=6)
    panel.plot(x[-1], y[-1], "D", color=colour, ms=6)


def draw_roc(path: Path, readings: Readings, note: str) -> None:
    """Draw each reader's two operating points in each session with fakes, a panel a session; detectors in grey."""
    answers = readings.answers
    sessions = mixed_sessions(answers)
    with drawing(path, len(sessions), (3.6 * len(sessions), 3.9), note) as (_, panels):
        for panel, session in zip(panels, sessions, strict=True):
            panel.plot([0, 1], [0, 1], color=HAIR, lw=1, zorder=0)
            for name, of, scored in scored_sessions(readings):
                if of == session:
                    curve = np.array(detector_curve(scored))
                    panel.plot(curve[:, 0], curve[:, 1], color=MUTED, lw=1, ls=LINES.get(name, "-"), label=name)
            for reader, colour in colour_of(answers).items():
                if own := of_session(answers, reader, session):
                    line = np.array([(0, 0), *roc_points(own), (1, 1)])
                    panel.plot(line[:, 0], line[:, 1], color=colour, lw=1.2, label=reader)
                    panel.plot(line[1:3, 0], line[1:3, 1], "o", color=colour, ms=5)
            panel.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal", xlabel="originals taken for fakes")
            panel.set_title(f"session {session}")
        panels[0].set_ylabel("fakes recognised")
        panels[-1].legend(loc="lower right")


def draw_learning(path: Path, readings: Readings, note: str) -> None:
    """Draw accuracy by tenth of each session, one panel a session: rising is learning, falling is fatigue."""
    answers = readings.answers
    sessions = sessions_of(answers)
    with drawing(path, len(sessions), (3.2 * len(sessions), 3.3), note) as (_, panels):
        for panel, session in zip(panels, sessions, strict=True):
            for reader, colour in colour_of(answers).items():
                shares = [part.value for part in accuracy_by_part(of_session(answers, reader, session))]
                height = [np.nan if share is None else share for share in shares]
                panel.plot(range(1, TENTHS + 1), height, color=colour, lw=1.3, label=reader)
            panel.set(ylim=(-0.02, 1.02), xlabel="tenth of the session")
            panel.set_title(f"session {session}")
        panels[0].set_ylabel("answers that are right")
        panels[-1].legend(loc="lower right")


def draw_time(path: Path, readings: Readings, note: str) -> None:
    """Draw the seconds an image, on a logarithmic scale, as boxes of each reader and session."""
    answers = readings.answers
    with drawing(path, 1, (7.2, 3.4), note) as (_, (panel,)):
        place, ticks, names = 0.0, [], []
        for reader, colour in colour_of(answers).items():
            for session in sessions_of(answers):
                seconds = [answer.milliseconds / 1000 for answer in of_session(answers, reader, session)]
                if seconds:
                    box = panel.boxplot([seconds], positions=[place], widths=0.7, patch_artist=True, showfliers=False)
                    box["boxes"][0].set(facecolor=colour, alpha=0.35, edgecolor=colour)
                    box["medians"][0].set(color=colour, lw=2)
                    ticks.append(place)
                    names.append(f"{reader}\n{session}")
                place += 1
            place += 0.8
        panel.set_yscale("log")
        panel.set_xticks(ticks, names, fontsize=7)
        panel.set_ylabel("seconds an image")
