"""Writes the report of a reader study: tables as CSV, JSON and Markdown, the long table, and one page."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mammogan.evaluation.report.page import DUTY, page_style, templates_of
from mammogan.io import tables
from mammogan.io.atomic import write_text
from mammogan.io.provenance import made_by
from mammogan.reader.config import Unsure
from mammogan.reader.readings import Readings
from mammogan.reader.report import plots
from mammogan.reader.report.detector_table import detector_table
from mammogan.reader.report.in_words import in_words
from mammogan.reader.report.study_tables import table2, table4
from mammogan.reader.statistics.accuracy_tables import between_sessions, table3
from mammogan.reader.statistics.answers import COLUMNS, check_readers, in_reading_order, write_imrmc
from mammogan.reader.statistics.further_tables import agreement_table, detection_table, readers_as_sample, time_table
from mammogan.reader.statistics.paper_p import GROUPS
from mammogan.reader.statistics.same_images import same_images_table
from mammogan.reader.statistics.table import Table

Draw = Callable[[Path, Readings], None]
PICTURES: dict[str, tuple[tuple[str, Draw], ...]] = {
    "detection": (
        ("How well each reader tells fakes from originals, and how readily one is called a fake", plots.draw_detection),
        (
            "Operating points: not real, and not real or unsure; grey: detectors that see only pixels",
            plots.draw_roc,
        ),
    ),
    "time": (
        ("Accuracy along each session", plots.draw_learning),
        ("Seconds an image, by reader and session: median, quartiles", plots.draw_time),
    ),
}
"""The pictures below each table, by the table's name."""


def write_report(
    folder: Path, readings: Readings, unsure: Unsure = "wrong", groups: int = GROUPS, against: Readings | None = None
) -> list[Table]:
    """Write every file of the report into ``folder`` and return its tables.

    ``against`` is another reading of the same mammograms, such as that of the other resolution.
    """
    answers = in_reading_order(readings.answers)
    check_readers(answers)
    made = [table2(readings), table3(answers, unsure)]
    made += [between_sessions(answers, groups=groups, unsure=unsure), table4(readings)]
    made += [detection_table(answers), detector_table(readings)]
    made += [make(answers) for make in (readers_as_sample, agreement_table, time_table)]
    if against:
        names = readings.plan.name, against.plan.name
        made.append(same_images_table(answers, in_reading_order(against.answers), names))
    for table in made:
        table.write(folder)
    _write_long_table(folder / "answers.csv", readings)
    write_imrmc(answers, folder / "answers.imrmc")
    page = templates_of("mammogan.reader.report").get_template("reading.html").render(_content(readings, made))
    write_text(folder / "index.html", page)
    return made


def _write_long_table(path: Path, readings: Readings) -> None:
    rows = [
        [*(getattr(answer, name) for name in COLUMNS), answer.looks, answer.correct]
        for answer in in_reading_order(readings.answers)
    ]
    tables.write(path, [*COLUMNS, "looks", "correct"], rows)


def _content(readings: Readings, tables: Sequence[Table]) -> dict[str, Any]:
    plan = readings.plan
    return {
        "style": page_style(),
        "name": plan.name,
        "simulated": plan.simulated,
        "readers": len(plan.readers),
        "answers": len(readings.answers),
        "height": plan.height,
        "width": plan.width,
        "unfinished": _unfinished(readings),
        "sentence": in_words(readings.answers),
        "tables": tables,
        "pictures": _pictures(readings, tables),
        "cues": readings.key.cues,
        "notes": plan.notes,
        "duty": DUTY,
        "made_by": made_by(),
    }


def _unfinished(readings: Readings) -> list[str]:
    behind = [s for s in readings.sittings if s.done < s.total]
    return [
        "Reading is not finished: "
        + ", ".join(f"{s.reader} session {s.session}: {s.done} of {s.total}" for s in behind)
    ] * bool(behind)


def _pictures(readings: Readings, tables: Sequence[Table]) -> dict[str, list[tuple[str, str]]]:
    """Return the pictures as base64 PNG, by the table they stand below."""
    drawn: dict[str, list[tuple[str, str]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for table in tables:
            for text, draw in PICTURES.get(table.name, ()) if table.rows else ():
                path = Path(folder) / "picture.png"
                draw(path, readings)
                drawn.setdefault(table.name, []).append((text, base64.b64encode(path.read_bytes()).decode()))
    return drawn
