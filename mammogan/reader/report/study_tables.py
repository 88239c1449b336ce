"""Table 2 (what each session showed) and Table 4 (how long each reader took)."""

from __future__ import annotations

from collections import Counter

from mammogan.reader.readings import Readings
from mammogan.reader.statistics.table import Table, Value


def table2(readings: Readings) -> Table:
    """Return the number of images of each session, by what they are and by class."""
    rows: list[dict[str, Value]] = []
    for session in readings.plan.sessions:
        count = Counter((image.role, image.looks) for image in readings.key.of_session(session.number))
        is_triplet = session.kind == "triplet"
        rows.append(
            {
                "session": session.number,
                "kind": session.kind,
                "places": len(session.places),
                "real positive": 0 if is_triplet else count["real", "positive"],
                "real negative": 0 if is_triplet else count["real", "negative"],
                "fake positive-looking": 0 if is_triplet else count["fake", "positive"],
                "fake negative-looking": 0 if is_triplet else count["fake", "negative"],
                "triplets": len(session.places) if is_triplet else 0,
            }
        )
    notes = ("The paper: 100 real, 100 real, 218 real and 218 fake, 100 triplets, 220 real and 220 fake.",)
    return Table("table2", "Table 2. Images of the sessions", rows, notes)


def table4(readings: Readings) -> Table:
    """Return the minutes of each reader in each session, without and with breaks."""
    rows: list[dict[str, Value]] = [
        {
            "reader": sitting.reader,
            "session": sitting.session,
            "done": f"{sitting.done} of {sitting.total}",
            "minutes": round(sitting.milliseconds / 60_000, 2),
            "minutes with breaks": round(sitting.wall_milliseconds / 60_000, 2),
        }
        for sitting in readings.sittings
    ]
    people: dict[str, dict[str, Value]] = {}
    for sitting, row in zip(readings.sittings, rows, strict=True):
        cell = f"{row['minutes']:.1f} ({row['minutes with breaks']:.1f})"
        part = "" if sitting.done == sitting.total else f", {row['done']}"
        people.setdefault(sitting.reader, {"reader": sitting.reader})[f"session {sitting.session}"] = cell + part
    simulated = " (simulated readers)" if readings.plan.simulated else ""
    caption = f"Table 4. Minutes of reading, in brackets with breaks{simulated}"
    return Table("table4", caption, rows, (), list(people.values()))
