"""Write the sections of index.html as HTML text; a section with nothing to show is empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from mammogan.evaluation.bootstrap import Figure
from mammogan.evaluation.report.page_parts import cell, figure, head, table
from mammogan.evaluation.report.tables import NOT_GIVEN, notes, paper_columns
from mammogan.evaluation.result import Result
from mammogan.evaluation.table1 import PAPER, ROWS
from mammogan.workspace import Direction

Facts = dict[str, Any]

INDENTED = ("fooled_remove", "fooled_insert")
TITLES = {
    Direction.REMOVE: "Cancers made to look negative",
    Direction.INSERT: "Negatives made to look like cancer",
}


@dataclass(frozen=True)
class Pictures:
    """File names, relative to the page, of the figures that exist."""

    roc: str
    shift: str
    triplets: dict[tuple[str, Direction], str]
    """By column name and direction."""
    twins: dict[str, str]
    """By column name."""

    def names(self) -> list[str]:
        return [self.roc, self.shift, *self.triplets.values(), *self.twins.values()]


def opening(results: Sequence[Result], facts: Facts) -> str:
    """Return the title, what was read, banner and notices if there are any, and the main findings in words."""
    images = max(len(r.cases.patients) for r in results)
    patients = max(len(set(r.cases.patients)) for r in results)
    altered = max(int(r.cases.faked.sum()) for r in results)
    lead = (
        f"{images} mammograms of {patients} patients (split {facts['split']}). "
        f"{'All' if altered == images else altered} were altered by a generator and read again by the same CAD."
    )
    banner = f'<p class="banner">{escape(facts["out_of_domain"])}</p>\n' if facts["out_of_domain"] else ""
    banner += "".join(f'<p class="banner">{escape(r.notice)}</p>\n' for r in results if r.notice)
    short = "\n".join(f"<p>{_in_short(r)}</p>" for r in results)
    title = "<h1>Can altered mammograms fool the CAD?</h1>"
    return f'{title}\n<p class="lead">{lead}</p>\n{banner}<div class="short">\n{short}\n</div>'


def _in_short(result: Result) -> str:
    table = result.table
    words = [f"<strong>{head(result)}.</strong>", *_calls(table["positives_right"], table["negatives_right"])]
    if table["fooled_remove"].value is not None:
        words.append(f"After alteration, {_of(table['fooled_remove'], 'cancers it had found')} pass as negative.")
    if table["fooled_insert"].value is not None:
        words.append(f"{_of(table['fooled_insert'], 'negatives it had cleared')} are called cancer once altered.")
    return " ".join(words)


def _calls(found: Figure, cleared: Figure) -> list[str]:
    """Say how the CAD reads the real mammograms, and which class is missing, if one is."""
    read = ((found, "cancers", "positive"), (cleared, "negatives", "negative"))
    calls = [f"{_of(figure, what)} {call}" for figure, what, call in read if figure.value is not None]
    missing = [f"There are no {what} among these mammograms." for figure, what, _ in read if figure.value is None]
    return [*missing, *([f"The CAD calls {' and '.join(calls)}."] if calls else [])]


def _of(figure: Figure, what: str) -> str:
    """Return text such as '44 of 74 cancers (59%)' for a figure that has a value."""
    return f"{figure.numerator} of {figure.denominator} {what} ({100 * (figure.value or 0):.0f}%)"


def table_section(results: Sequence[Result], facts: Facts) -> str:
    """Return Table 1, with the paper's figures next to ours."""
    ours = "".join(f"<th>{head(result)}</th>" for result in results)
    paper = "".join(f'<th class="paper">{escape(name.replace("x", " × "))}</th>' for name in paper_columns())
    rows = "\n".join(_table_row(name, results) for name in ROWS)
    remarks = "".join(f"<li>{escape(line)}</li>" for line in notes(results))
    how = (
        f"An image is called positive when the CAD's probability of cancer is above {facts['threshold']:g}. "
        f"In grey below each figure its 95% interval: patients, not images, were drawn anew "
        f"{facts['bootstrap']['draws']} times. The indented rows count only images that the CAD had called rightly. "
        "The last columns are the published study's, on its own mammograms, for reference."
    )
    return (
        f"<h2>Table 1</h2>\n<p>{how}</p>\n"
        f'<div class="scroll"><table><thead><tr><th></th>{ours}{paper}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>" + (f'\n<ul class="notes">{remarks}</ul>' if remarks else "")
    )


def _table_row(name: str, results: Sequence[Result]) -> str:
    kind = ' class="of"' if name in INDENTED else ' class="total"' if name == "fooled_both" else ""
    ours = "".join(f"<td>{cell(r.table[name])}</td>" for r in results)
    paper = "".join(f'<td class="paper">{escape(given.get(name, NOT_GIVEN))}</td>' for given in PAPER.values())
    return f"<tr{kind}><th>{escape(ROWS[name])}</th>{ours}{paper}</tr>"


def curve_sections(results: Sequence[Result], pictures: Pictures, facts: Facts) -> str:
    """Return the ROC curves, and the probabilities before and after the attack."""
    panels = f"panels{len(results)}"
    roc = (
        "How well the CAD's probability separates cancer from negative: on real mammograms (blue), and on altered "
        "ones (red), where right is what the alteration pretends. The higher the red curve, the better the "
        f"forgery. Circles mark the calls at {facts['threshold']:g}."
    )
    shift = (
        "Each point is one mammogram: to the right, the CAD's probability of cancer for the real image; upwards, "
        "for the altered one. On the dotted line nothing changed; in the tinted corners the alteration turned the "
        "call."
    )
    return (
        f"<h2>Real and altered, at every threshold</h2>\n{figure(pictures.roc, 'ROC curves', roc, panels)}\n"
        f"<h2>How far each image moved</h2>\n{figure(pictures.shift, 'Probability before and after', shift, panels)}"
    )


def triplet_section(results: Sequence[Result], pictures: Pictures, direction: Direction) -> str:
    """Return the triplets (real, fake, difference) of one direction, the report columns side by side."""
    shown = [r for r in results if (r.name, direction) in pictures.triplets]
    if not shown:
        return ""
    known = any(e.lesion is not None for r in shown for e in r.examples[direction])
    text = (
        "Real, altered, and what was added (red) or taken away (blue); the colour scale below is the same for all "
        "rows. Shown are images that the CAD had called rightly (any, where those are too few), from the one whose "
        "probability changed most to the one that changed least: a rule chose them, not the eye."
        f"{' The line goes round the known lesion.' if known else ''}"
    )
    columns = "\n".join(
        f"<div><h3>{head(r)}</h3>{figure(pictures.triplets[r.name, direction], TITLES[direction])}</div>" for r in shown
    )
    layout = "two" if len(shown) > 1 else "one"
    return f'<h2>{TITLES[direction]}</h2>\n<p>{text}</p>\n<div class="{layout}">{columns}</div>'


def secondary_section(results: Sequence[Result]) -> str:
    """Return mean probabilities, distances from the original, and fooled shares by breast density."""
    rows = [row for direction in Direction for row in (*_means(results, direction), *_densities(results, direction))]
    body = "\n".join(f"<tr><th>{title}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>" for title, cells in rows)
    text = (
        "The distance from the original is the study's Eq. 7, squared difference over squared original in the "
        "networks' normalised pixels, all images together: 0 leaves the image as it was."
    )
    return f"<h2>Further figures</h2>\n<p>{text}</p>\n{table(results, body)}"


def _means(results: Sequence[Result], direction: Direction) -> list[tuple[str, list[str]]]:
    means = [r.secondary["mean_probability"][str(direction)] for r in results]
    distances = [r.secondary["identity"][str(direction)]["together"] for r in results]
    arrows = ["n/a" if m["before"] is None else f"{m['before']:.3f} → {m['after']:.3f}" for m in means]
    return [
        (f"{TITLES[direction]}: mean probability of cancer", arrows),
        (f"{TITLES[direction]}: distance from the original", ["n/a" if d is None else f"{d:.2g}" for d in distances]),
    ]


def _densities(results: Sequence[Result], direction: Direction) -> list[tuple[str, list[str]]]:
    by = [r.secondary["fooled_by_density"].get(str(direction), {}) for r in results]
    known = sorted({density for found in by for density in found})
    return [
        (f"… fooled, breast density {escape(d)}", [cell(Figure(**found[d])) if d in found else "n/a" for found in by])
        for d in known
    ]
