"""Words that readers and the coordinator see when something is wrong, and on every page."""

from __future__ import annotations

import sqlite3

from mammogan.reader.folder import ChangedImage
from mammogan.reader.plan import ReadingPlan, Session

FULL, BUSY, BROKEN = 507, 503, 500
NO_ACCESS = "This link is not valid, or not any more. Please ask the study's coordinator for your link."
OTHER_READER = "This browser has opened the link of another reader meanwhile: open your own link again."

UNREADABLE = "The server cannot read an image. Please tell the study's coordinator."
CHANGED = "The next image is not as it was drawn, so the server does not show it. Please tell the study's coordinator."

OF_PHANTOMS = "The mammograms of this study are phantoms: a program has drawn them, and no patient was imaged."
OF_A_MIX = "Some mammograms of this study are phantoms, which a program has drawn."
REAL_MEANS = "A phantom that was not changed after that is called real here."


def banner(plan: ReadingPlan) -> str:
    """Return the line at the top of every page; the same for every image."""
    shown = "Research images, some may be synthetic"
    if plan.phantoms.only:
        shown = "Phantoms drawn by a program, no patient was imaged; some may be changed"
    elif plan.phantoms.kind:
        shown = "Research images, some are phantoms drawn by a program, some may be synthetic"
    simulated = " - simulated readers" if plan.simulated else ""
    return f"{shown} - not for clinical use{simulated}"


def instructions(plan: ReadingPlan, session: Session) -> str:
    """Return what a reader is told before a session; of phantoms, first that they are some."""
    if not plan.phantoms.kind:
        return session.instructions
    return f"{OF_PHANTOMS if plan.phantoms.only else OF_A_MIX} {REAL_MEANS}\n\n{session.instructions}"


def of_image(error: Exception) -> str:
    """Return words for the reader when an image is not shown."""
    return CHANGED if isinstance(error, ChangedImage) else UNREADABLE


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
