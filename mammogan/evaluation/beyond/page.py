"""Write the page "Beyond Table 1" and evaluation.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment

from mammogan.data.inspect.population import Population, no_patient
from mammogan.evaluation.beyond.section import Section, plain
from mammogan.evaluation.report.page import DUTY, page_style, templates_of, with_pictures_inside
from mammogan.io.atomic import write_json, write_text
from mammogan.io.provenance import made_by

PAGE, VALUES = "beyond.html", "evaluation.json"


@dataclass(frozen=True)
class Facts:
    """What stands above and below the sections."""

    resolution: str
    images: int
    patients: int
    victims: dict[str, str]
    """sha256 by name."""
    settings: dict[str, Any]
    banner: str = ""
    """A warning above everything; empty if there is none."""
    population: Population | None = None
    """What the mammograms of the split are: phantoms are named in the title, the first sentence and every caption."""

    @property
    def note(self) -> str:
        return self.population.note if self.population else ""

    @property
    def all_phantoms(self) -> bool:
        return bool(self.population and self.population.all_phantoms)

    def captioned(self, title: str) -> str:
        """Return a title, with the phantoms that were used."""
        return f"{title} ({self.note})" if self.note else title


def write_page(folder: Path, sections: Sequence[Section], facts: Facts) -> Path:
    """Draw the pictures, write evaluation.json and the page into ``folder``, and return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {section.name: f"{section.name}.png" for section in sections if section.draw}
    for section in sections:
        if section.draw:
            section.draw(folder / pictures[section.name], facts.note)
    values = {
        "schema": 1,
        "notice": DUTY,
        "out_of_domain": facts.banner,
        "mammograms": facts.population.to_json() if facts.population else None,
        "resolution": facts.resolution,
        "settings": facts.settings,
        "victims": facts.victims,
        "made_by": made_by(),
        "sections": {section.name: section.values for section in sections},
    }
    write_json(folder / VALUES, plain(values))
    content = {
        "style": page_style(),
        "facts": facts,
        "no_patient": no_patient,
        "sections": sections,
        "pictures": pictures,
        "duty": DUTY,
        "values": VALUES,
        "made_by": made_by(),
    }
    page = _templates().get_template("beyond.html").render(content)
    write_text(folder / PAGE, with_pictures_inside(page, folder))
    return folder / PAGE


def _templates() -> Environment:
    """Return our template, and the pieces of the report's page, which look the same here."""
    found = templates_of("mammogan.evaluation.beyond")
    loaders = [own.loader for own in (found, templates_of("mammogan.evaluation.report")) if own.loader]
    found.loader = ChoiceLoader(loaders)
    return found
