"""Write plan.md, the plan that a study coordinator reads: counts, rules, cue audit, deviations. It names no image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from mammogan.reader.drawing.cues import CHANCE, MOST_AUC, CueResult
from mammogan.reader.drawing.request import Request
from mammogan.reader.key import KeyImage, ReadingKey
from mammogan.reader.plan import Kind, ReadingPlan
from mammogan.reader.plan_checks import Check

WHAT: dict[Kind, str] = {
    "known": "originals, the reader knows it; Next only",
    "blind": "real, not real or unsure",
    "triplet": "original, adversarial and difference side by side; Next only",
    "feedback": "real, not real or unsure; the truth after each answer",
}
STUDY = {1: (100, 0), 2: (100, 0), 3: (218, 218), 4: (100, 100), 5: (220, 220)}
"""Originals and adversarial images of the paper's sessions."""
ADDED = (
    "Sessions 1, 2 and 4 do not show one training mammogram twice; the paper drew session 4 from all of them.",
    "A patient's images are in session 3 or in session 5, never in both; the paper says so of images only.",
    "Each reader has an order of their own, with a patient's images apart; the paper says nothing of orders.",
    "Up to three practice images come before session 1; no answers are kept.",
    "A second resolution has a plan of its own; the paper says nothing of its images.",
)
"""What the paper does differently or does not say."""


def cue_table(rows: Iterable[CueResult]) -> str:
    """Return the cue audit as a Markdown table, one row per number."""
    head = "| one number per image | visible | AUC | original | adversarial | |\n|---|---|---|---|---|---|"
    return "\n".join([head, *map(_cue_row, rows)])


def _cue_row(row: CueResult) -> str:
    verdict = "**tells them apart**" if row.tells else ""
    seen = "yes" if row.visible else "no"
    return f"| {row.name} | {seen} | {row.auc:.3f} | {row.real:.4g} | {row.fake:.4g} | {verdict} |"


def page(request: Request, plan: ReadingPlan, key: ReadingKey, checks: Sequence[Check]) -> str:
    """Return plan.md."""
    size = len(plan.images) * plan.image_bytes / 1e9
    sections = [
        f"# Reader study {plan.name}",
        f"{len(plan.readers)} readers ({', '.join(plan.readers)}), {plan.resolution} resolution, images of "
        f"{plan.height} x {plan.width} pixels, {len(plan.images)} image files, {size:.2f} GB"
        + (f", {plan.phantoms.kind}" if plan.phantoms.kind else "")
        + ". Research images, not for clinical use; adversarial images are synthetic.",
        "Do not show this page to readers before they have finished: it says how many images are adversarial.",
        "## Sessions",
        _sessions(plan, key),
        "A positive-looking adversarial image was made from a negative mammogram, a negative-looking one from a "
        "positive mammogram. In brackets: the paper's numbers.",
        f"Default window: {plan.window.low} to {plan.window.high} of 65535, from the originals of sessions 3 and 5. "
        + _difference_words(plan)
        + f"{len(plan.practice)} practice images.",
        "## Notes for every table",
        _bullets(plan.notes),
        "## Left out of the draw",
        _left_out(key),
        "## Rules, checked after the draw",
        _bullets(map(str, checks)),
        "## Cue audit",
        f"Area under the ROC curve of one number per image, over the {_blind(key)} images of sessions 3 and 5. 0.5 is "
        f"chance. A number tells the two apart if its AUC is above {MOST_AUC} and chance alone would give that in less "
        f"than {CHANCE:.0%} of draws; a visible one stops the drawing unless --allow-cues is given. The others can be "
        "seen only with developer tools.",
        cue_table(CueResult(**row) for row in key.cues),
        "## What the paper does differently, or does not say",
        _bullets(_deviations(request)),
    ]
    return "\n\n".join(sections) + "\n"


def _sessions(plan: ReadingPlan, key: ReadingKey) -> str:
    head = (
        "| session | what is asked | originals | positive | negative | adversarial | positive-looking | "
        "negative-looking |\n|---|---|---|---|---|---|---|---|"
    )
    rows = [head]
    for session in plan.sessions:
        images = key.of_session(session.number)
        cells = [
            cell
            for number, role in enumerate(("real", "fake"))
            for cell in _cells(images, role, session.number, number)
        ]
        rows.append(f"| {session.number} | {WHAT[session.kind]} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _cells(images: Sequence[KeyImage], role: str, session: int, at: int) -> Iterator[str]:
    """Yield how many images of a role there are (in brackets: in the paper), and how many look positive, negative."""
    looks = Counter(image.looks for image in images if image.role == role)
    yield f"{sum(looks.values())} ({STUDY[session][at]})"
    yield str(looks["positive"])
    yield str(looks["negative"])


def _difference_words(plan: ReadingPlan) -> str:
    if not plan.difference_scale:
        return ""
    return (
        f"Difference images are original minus adversarial: mid grey is no change, black and white are changes of "
        f"{plan.difference_scale} or more. "
    )


def _blind(key: ReadingKey) -> int:
    return len(key.of_session(3)) + len(key.of_session(5))


def _left_out(key: ReadingKey) -> str:
    if not key.left_out:
        return "No mammogram was left out."
    return _bullets(f"{count} mammograms: {why}" for why, count in key.left_out.items())


def _deviations(request: Request) -> list[str]:
    config = request.config
    overlap, same = config.session_4_overlap, config.order == "same"
    return [text for text, done in zip(ADDED, (not overlap, True, not same, True, True), strict=True) if done]


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
