"""Write the section of index.html on which single numbers of an image reveal adversarial ones."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from mammogan.evaluation.forensics.giveaways import ARTEFACTS, BOUND
from mammogan.evaluation.report.page_parts import head
from mammogan.evaluation.result import Result
from mammogan.workspace import Direction

TITLE = "Does a single number give them away?"
NUMBERS = {
    "zeros": "Share of pixels that are exactly 0",
    "minimum": "Darkest grey of the picture",
    "breast_minimum": "Darkest grey of the breast",
    "off_grid": "Share of pixels off the source's grey grid",
    "corner": "Grey of the darkest corner",
    "distinct": "Different grey values for each pixel of the breast",
    "maximum": "Brightest grey of the breast",
    "slope": "Slope of the spectrum",
    "noise": "Noise: what a 3 x 3 mean takes away",
}
KEPT = {
    "original": "keeps the original's air and grey grid",
    "as-generated": "was saved as generated, air and grey values too",
}


def giveaway_section(results: Sequence[Result]) -> str:
    """Return one table per report column; empty if there are no adversarial images."""
    shown = [r for r in results if any(found["images"] for found in r.forensics.values())]
    if not shown:
        return ""
    tables = "\n".join(f"{_head(r)}\n<p>{_verdict(r)}</p>\n{_table(r)}" for r in shown)
    return f"<h2>{TITLE}</h2>\n<p>{_meaning()}</p>\n{tables}"


def _meaning() -> str:
    return (
        "Whoever doubts an image can measure it. Each row is one number of an image; its figures are the area under "
        "the ROC curve with which that number alone tells adversarial images from originals, whichever way round: 0.5 "
        "tells nothing, 1 tells every one. First against the originals that the images were made from, then against "
        f"originals of the class they pretend to be. The first {len(ARTEFACTS)} rows are artefacts, traces of how an "
        f"image was made: they have to stay below {BOUND:g}. Brightest grey, slope and noise are reported, not "
        "promised. With few images, chance alone lies above 0.5."
    )


def _head(result: Result) -> str:
    return f"<h3>{head(result)}</h3>"


def _verdict(result: Result) -> str:
    """Say what was kept of the originals, and which artefacts reveal an adversarial image."""
    background = result.provenance.get("background", {})
    kept = " ".join(f"What {d} made {KEPT[background[d]]}." for d in map(str, Direction) if d in background)
    return f"{escape(kept)} {_told(result.forensics)}".strip()


def _told(forensics: dict[str, Any]) -> str:
    told = [
        f"{NUMBERS[name].lower()} ({direction}, {worst:.2f})"
        for direction, found in forensics.items()
        for name in ARTEFACTS
        if (worst := max(filter(None, found["auc"][name].values()), default=0)) >= BOUND
    ]
    return f"<strong>Given away by: {escape('; '.join(told))}.</strong>" if told else "No artefact gives them away."


def _table(result: Result) -> str:
    there = {d: found for d, found in result.forensics.items() if found["images"]}
    heads = "".join(
        f"<th>{d}: their {found['sources']} sources</th><th>{d}: {found['pretended']} {Direction(d).target}s</th>"
        for d, found in there.items()
    )
    rows = "\n".join(
        _row(name, [value for found in there.values() for value in found["auc"][name].values()]) for name in NUMBERS
    )
    return f'<div class="scroll"><table><thead><tr><th></th>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _row(name: str, values: Sequence[float | None]) -> str:
    cells = "".join(f"<td>{'n/a' if value is None else _cell(name, value)}</td>" for value in values)
    return f"<tr><th>{NUMBERS[name]}</th>{cells}</tr>"


def _cell(name: str, value: float) -> str:
    text = f"{value:.2f}"
    return f"<strong>{text}</strong>" if name in ARTEFACTS and value >= BOUND else text
