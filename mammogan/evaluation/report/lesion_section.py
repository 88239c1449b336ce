"""Write the sections of index.html on whether the attack changes the lesion: removal, insertion, and the controls.

Each row explains in a sentence what it shows and what it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from mammogan.evaluation.bootstrap import Figure
from mammogan.evaluation.lesion.change_measures import DISC_MM
from mammogan.evaluation.lesion.summary import GENERATOR
from mammogan.evaluation.report.page_parts import cell, figure, head, rows_under, table
from mammogan.evaluation.report.sections import Pictures
from mammogan.evaluation.report.tables import value_text
from mammogan.evaluation.result import Result

REMOVAL_ROWS = {
    "energy_near": (
        "Share of the change that lies near the lesion",
        "Where the change is. Not that the lesion is gone: an attack on the CAD alone may lie there too.",
    ),
    "area_near": (
        "Share of the picture that is near the lesion",
        "What a change spread evenly would have in the row above. It is no result of the generator.",
    ),
    "untouched": (
        "Distance from the real image to its lesion-free twin",
        "The yardstick of the rows below. It is no result of the generator.",
    ),
    "removed": (
        "Distance from the altered image to the twin",
        "What is left of that distance. The rest of the picture does not count.",
    ),
    "way": (
        "How much of the way to the twin it went",
        "0%: the lesion is as it was. Changes elsewhere do not count.",
    ),
    "closer_db": (
        "How much closer to the twin, in dB",
        "How far the lesion is gone: 3 dB leave 71% of the distance, 6 dB half. Changes elsewhere do not count, so an "
        "image that is dimmed all over comes closer too.",
    ),
    "three_db": (
        "Images that came at least 3 dB closer to the twin",
        "How many came that far. The others may fool the CAD all the same.",
    ),
}
OF_TWINS = ("untouched", "removed", "way", "closer_db", "three_db")
"""Rows that need phantoms with twins."""
INSERTION_ROWS = {
    "in_disc": (
        f"Share of the change in one disc of {DISC_MM:.1f} mm radius",
        "Whether the change is in one place of a lesion's size. Not that it looks like a lesion.",
    ),
    "blobs": (
        "Pieces that the change falls into",
        "One, for one lesion. How large or bright it is does not count.",
    ),
    "peak": (
        "Largest change of a pixel",
        "How strong the change is at its strongest. Not how it is spread.",
    ),
    "found": (
        "Insertions that a blob detector finds where they are",
        "Whether it is visible as a brightening of a mass's size. The detector knows nothing of cancer, and the CAD is "
        "not asked.",
    ),
    "found_and_fooled": (
        "… and that fool the CAD, of the negatives it had called rightly",
        "Both at once. Not that a radiologist would be fooled.",
    ),
    "real_lesions_found": (
        "Real lesions that the detector finds where they are",
        "The ceiling: insertions as visible as real lesions are found this often; more means more conspicuous ones.",
    ),
}
CONTROL_ROWS = {
    "twin": ("The lesion-free twin itself", "Perfect removal: the ceiling of every column."),
    "contrast": ("Contrast × 0.8", "The whole breast a little flatter about its mean: dims a lesion with all else."),
    "l2-1": ("Gradient descent on the CAD, L2 norm 1", "Three steps that look for the CAD's weakness, no lesion."),
    "l2-2": ("Gradient descent on the CAD, L2 norm 2", "The same with twice the change."),
    "identity": ("Identity-trained generator", "Reproduces the image; was never asked to fool or to remove."),
}


def removal_section(results: Sequence[Result], pictures: Pictures) -> str:
    """Compare removals with the phantoms' truth, and with lesion-free twins where these exist."""
    known = [r for r in results if r.truth]
    if not known:
        return ""
    with_twins = any(_has_twins(r) for r in known)
    body = "\n".join(
        _row(*REMOVAL_ROWS[name], [_removal_cell(name, r.truth[name]) for r in known if r.truth])
        for name in REMOVAL_ROWS
        if with_twins or name not in OF_TWINS
    )
    figures = "\n".join(
        f"<h3>{head(r)}</h3>{figure(pictures.twins[r.name], 'Lesion, altered, and lesion-free twin')}"
        for r in known
        if r.name in pictures.twins
    )
    text = _truth_text(with_twins)
    return f"<h2>Was the lesion taken away?</h2>\n<p>{text}</p>\n{table(known, body)}\n{figures}"


def _has_twins(result: Result) -> bool:
    return bool(result.truth and result.truth["untouched"]["images"])


def _truth_text(with_twins: bool) -> str:
    """Explain what the phantoms know, and what the rows mean."""
    if with_twins:
        known = (
            "each image with a lesion has a twin that differs in nothing but the lesion, so it is known what a perfect "
            "removal looks like."
        )
    else:
        known = (
            "it is known where each lesion is. Lesion-free twins were not drawn (<code>mammogan make-phantom "
            "--twins</code> draws them), so it cannot be told how close to a perfect removal the altered images come."
        )
    distances = (
        "; distances are root mean squares inside the lesion, in percent of the full grey range. 100% of the way: the "
        "altered image is the twin; below 0%: it moved away."
    )
    return (
        f"These are phantoms: {known} Near means within 1.5 lesion radii. A change's share is counted by its energy, "
        f"the sum of squared differences{distances if with_twins else '.'} Medians over the images, quartiles in grey."
    )


def insertion_section(results: Sequence[Result]) -> str:
    """Describe the shape of inserted lesions, and how often a blob detector finds them; no truth is needed."""
    known = [(r, r.insertion) for r in results if r.insertion]
    if not known:
        return ""
    body = "\n".join(
        _row(title, says, [_insertion_cell(name, found[name]) for _, found in known])
        for name, (title, says) in INSERTION_ROWS.items()
    )
    text = (
        "A change that turns the call of a negative may be anything; a lesion is one compact brightening. The detector "
        "is the largest difference of Gaussians of 4 and 8 mm at least 8 mm inside the breast. It finds an insertion "
        f"where it looks within {DISC_MM:.1f} mm of the disc's centre and responds more strongly than to four in five "
        "of the real negatives. Medians over the images, quartiles in grey; of shares, 95% intervals."
    )
    return f"<h2>Was a lesion put in?</h2>\n<p>{text}</p>\n{table([r for r, _ in known], body)}"


def controls_section(results: Sequence[Result]) -> str:
    """Show what else fools the CAD, in one table per resolution, next to the rows of its generators."""
    measured = [r for r in results if r.controls]
    if not measured:
        return ""
    tables = []
    for resolution in dict.fromkeys(r.resolution for r in measured):
        own = [r for r in measured if r.resolution == resolution]
        with_twins = any(_has_twins(r) or (r.controls or {})["twin"]["images"] for r in own)
        heads = ["Cancers fooled", "Change near the lesion", *(["dB closer", "≥ 3 dB"] if with_twins else [])]
        title = f"<h3>{resolution.height} × {resolution.width}</h3>"
        tables.append(title + rows_under(heads, _control_rows(own, with_twins)))
    text = (
        "<strong>A fooled rate without these rows says nothing about removal.</strong> Each row alters the same "
        "cancers in another way and is measured as the generator is: of the cancers that the CAD had found, those that "
        "it calls negative afterwards; what share of the change lies near the lesion; and how much nearer the lesion "
        "comes to being gone. Where a row that is no removal fools as often as the generator, fooling is no sign of "
        "removal. Medians; means, quartiles and 95% intervals in grey."
    )
    return f"<h2>Controls</h2>\n<p>{text}</p>\n" + "\n".join(tables)


def _control_rows(results: Sequence[Result], with_twins: bool) -> str:
    lines = []
    for result in results:
        name = "The generator" + ("" if result.objective == "study" else f", {result.objective} objective")
        lines.append(_control_row(name, "What Table 1 is about.", (result.controls or {})[GENERATOR], with_twins))
    for name, (title, says) in CONTROL_ROWS.items():
        lines.append(_control_row(title, says, (results[0].controls or {})[name], with_twins))
    return "\n".join(lines)


def _control_row(title: str, says: str, found: dict[str, Any], with_twins: bool) -> str:
    if found["reason"]:
        return _row(title, says, [escape(found["reason"]), *["–"] * (3 if with_twins else 1)])
    cells = [cell(Figure(**found["fooled"])), _spread_cell(found["energy_near"], _percent)]
    if with_twins:
        cells += [_spread_cell(found["closer_db"], _decibel), value_text(Figure(**found["three_db"]))]
    return _row(title, says, cells)


def _row(title: str, says: str, cells: Sequence[str]) -> str:
    filled = "".join(f"<td>{text}</td>" for text in cells)
    return f'<tr><th>{escape(title)}<span class="range">{escape(says)}</span></th>{filled}</tr>'


def _removal_cell(name: str, found: dict[str, Any]) -> str:
    if name == "three_db":
        return value_text(Figure(**found))
    return _spread_cell(found, _decibel if name == "closer_db" else _percent)


def _insertion_cell(name: str, found: dict[str, Any]) -> str:
    if "value" in found:
        return cell(Figure(**found))
    return _spread_cell(found, _count if name == "blobs" else _percent)


def _spread_cell(spread: dict[str, Any], written: Callable[[float], str]) -> str:
    """Return a median, with quartiles, mean and number of images below it."""
    if spread["median"] is None:
        return "n/a"
    middle, low, high, mean = (written(spread[name]) for name in ("median", "low_quartile", "high_quartile", "mean"))
    return f'{middle}<span class="range">{low} to {high}, mean {mean}, {spread["images"]} images</span>'


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _decibel(value: float) -> str:
    return f"{value:.1f} dB"


def _count(value: float) -> str:
    return f"{value:g}" if value == round(value) else f"{value:.1f}"
