"""Write index.html: the complete report on one page, which needs only the pictures in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from mammogan.evaluation.report import lesion_section as lesion
from mammogan.evaluation.report import sections as sections
from mammogan.evaluation.report.giveaways_section import giveaway_section
from mammogan.evaluation.report.sections import Facts, Pictures
from mammogan.evaluation.report.style_sheet import CSS
from mammogan.evaluation.result import Result
from mammogan.io.atomic import write_text
from mammogan.workspace import Direction

DUTY = "Synthetic images: not for clinical systems."
FILES = ("table1.json", "table1.csv", "table1.md", "predictions.csv")


def write_page(path: Path, results: Sequence[Result], pictures: Pictures, facts: Facts) -> None:
    """Write the page. ``facts`` are the settings and versions that are also at the top of table1.json."""
    parts = [
        sections.opening(results, facts),
        sections.table_section(results, facts),
        sections.curve_sections(results, pictures, facts),
        *(sections.triplet_section(results, pictures, direction) for direction in Direction),
        lesion.removal_section(results, pictures),
        lesion.insertion_section(results),
        lesion.controls_section(results),
        giveaway_section(results),
        sections.secondary_section(results),
        footer(results, facts),
    ]
    body = "\n".join(part for part in parts if part)
    write_text(path, f"{_head()}\n<body><main>\n{body}\n</main></body></html>\n")


def _head() -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>MammoGAN: can altered mammograms fool the CAD?</title><style>{CSS}</style></head>"
    )


def footer(results: Sequence[Result], facts: Facts) -> str:
    """Return the note on responsible use, the links to the numbers, and the versions of everything that made them."""
    links = ", ".join(f'<a href="{name}">{name}</a>' for name in FILES)
    lines = [f"All numbers: {links}. Seed of the resampling: {facts['bootstrap']['seed']}.", *_models(results)]
    made = facts["made_by"]
    libraries = ", ".join(f"{name} {version}" for name, version in made["libraries"].items())
    lines.append(escape(f"MammoGAN {made['mammogan']}, commit {made['git']}; Python {made['python']}, {libraries}."))
    return f'<footer><p class="duty">{DUTY}</p>\n' + "<br>\n".join(lines) + "</footer>"


def _models(results: Sequence[Result]) -> list[str]:
    lines = []
    for result in results:
        lines.append(f"{result.name}, CAD: <code>{result.provenance['cad_sha256']}</code>")
        for direction, made in result.provenance["generators"].items():
            state = escape(f"{made['phase']}, epoch {made['epoch']}")
            lines.append(f"{result.name}, generator ({direction}, {state}): <code>{made['checkpoint_sha256']}</code>")
    return lines
