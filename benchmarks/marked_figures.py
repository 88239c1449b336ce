"""Replaces the figures of a page that stand between two marks, so that a page never differs from its committed rows."""

from __future__ import annotations

from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.atomic import write_text


def begins(command: str) -> str:
    """Return the mark before figures that COMMAND writes."""
    return f"<!-- figures: {command} -->"


END = "<!-- end of figures -->"


def shown(page: Path, begin: str) -> str:
    """Return the figures that stand on a page after the mark BEGIN."""
    _, figures, _ = _parts(page, begin)
    return figures.strip()


def show(page: Path, begin: str, figures: str) -> None:
    """Replace the figures on a page after the mark BEGIN."""
    before, _, after = _parts(page, begin)
    write_text(page, f"{before}{begin}\n\n{figures.strip()}\n\n{END}{after}")


def _parts(page: Path, begin: str) -> tuple[str, str, str]:
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    figures, ends, after = rest.partition(END)
    if not (found and ends):
        raise UserError(f"{page}: expected the lines {begin} and {END}, between which the figures go")
    return before, figures, after
