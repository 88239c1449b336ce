"""Words that readers and the coordinator see when something is wrong, and on every page."""

from __future__ import annotations

import sqlite3

from mammogan.reader.plan import ReadingPlan

FULL, BUSY, BROKEN = 507, 503, 500
NO_ACCESS = "This link is not valid, or not any more. Please ask the study's coordinator for your link."

UNREADABLE = "The server cannot read an image. Please tell the study's coordinator."


def banner(plan: ReadingPlan) -> str:
    """Return the line at the top of every page; the same for every image."""
    simulated = " - simulated readers" if plan.simulated else ""
    return f"Research images, some may be synthetic - not for clinical use{simulated}"


def of_database(error: sqlite3.Error) -> tuple[str, int]:
    """Return words for the reader and the status of the response when the database could not be used."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC")):
        return "The server's disk is full. Please tell the study's coordinator.", FULL
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "Another program keeps the study's database busy. Please tell the study's coordinator.", BUSY
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR")):
        return "The server cannot write to its disk. Please tell the study's coordinator.", FULL
    return "The server has met an error. Please tell the study's coordinator.", BROKEN
