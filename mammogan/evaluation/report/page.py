"""Write index.html: the complete report on one page, its pictures inside.

The modules of the sections say what is in the page, the files in templates/ and style.css how it looks.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from mammogan.evaluation.report import lesion_section, sections
from mammogan.evaluation.report.giveaways_section import giveaway_section
from mammogan.evaluation.report.sections import Facts, Pictures
from mammogan.evaluation.result import Result
from mammogan.io.atomic import write_text

DUTY = "Synthetic images: not for clinical systems."
FILES = ("table1.json", "table1.csv", "table1.md", "predictions.csv")


def write_page(path: Path, results: Sequence[Result], pictures: Pictures, facts: Facts) -> None:
    """Write the page. ``facts`` are the settings and versions that are also at the top of table1.json."""
    content = _content(results, pictures, facts)
    page = templates_of("mammogan.evaluation.report").get_template("page.html").render(content)
    write_text(path, with_pictures_inside(page, path.parent))


def with_pictures_inside(page: str, folder: Path) -> str:
    """Return a page with the PNG files that it shows, all in ``folder``, inside it: it can be sent as one file."""

    def inside(found: re.Match[str]) -> str:
        return f'src="data:image/png;base64,{base64.b64encode((folder / found[1]).read_bytes()).decode()}"'

    return re.sub(r'src="([\w.-]+\.png)"', inside, page)


def templates_of(package: str) -> Environment:
    """Return a package's templates. They escape every text, and refuse a name that they are not given."""
    templates = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters["short"] = "{:g}".format
    return templates


def page_style() -> str:
    """Return the style sheet of every report page."""
    return files("mammogan.evaluation.report").joinpath("style.css").read_text(encoding="utf-8").strip()


def _content(results: Sequence[Result], pictures: Pictures, facts: Facts) -> dict[str, Any]:
    """Return what the templates write, by the names they use."""
    note = sections.caption_note(results)
    return {
        "style": page_style(),
        "facts": facts,
        "pictures": pictures,
        "panels": len(results),
        "captioned": lambda title: f"{title}. {note[:1].upper()}{note[1:]}." if note else f"{title}.",
        "opening": sections.opening(results, facts),
        "table1": sections.table_section(results),
        "triplets": sections.triplet_sections(results, pictures),
        "removal": lesion_section.removal_section(results, pictures),
        "insertion": lesion_section.insertion_section(results),
        "controls": lesion_section.control_tables(results),
        "giveaways": giveaway_section(results),
        "further": sections.further_table(results),
        "files": FILES,
        "trainings": sections.trainings(results),
        "cohorts": sections.cohorts(results),
        "origins": sections.origins(results),
    }
