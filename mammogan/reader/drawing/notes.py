"""Say in sentences what belongs under every table of a reader study: what was scaled, shown and done differently."""

from __future__ import annotations

from collections.abc import Iterator

from mammogan.reader.drawing.cues import CueResult
from mammogan.reader.drawing.orders import GAP
from mammogan.reader.drawing.request import Request
from mammogan.reader.key import ReadingKey
from mammogan.reader.plan import PHANTOMS_ONLY, Phantoms

BACKGROUNDS = {
    "original": "The air around the breast is the original's in adversarial images too (--background original); the "
    "paper does not say what its readers saw there.",
    "as-generated": "Adversarial images are shown as the generator made them, air included (--background "
    "as-generated); readers may tell them by it.",
}
EDUCATION = {
    "outlined": "A circle marks the change in session 4, which the paper did not show.",
    "feedback": "Session 4 shows single images and the truth after each answer, in place of the paper's triplets.",
}


def notes_of(request: Request, key: ReadingKey, phantoms: Phantoms, gaps: dict[int, int]) -> Iterator[str]:
    """Yield the sentences; none says what a single image is."""
    config = request.config
    if config.simulated:
        yield "The readers are simulated, not people."
    if phantoms.only:
        yield PHANTOMS_ONLY
    elif phantoms.and_patients:
        yield f"Counted together: {phantoms.kind}. Phantoms are drawn by a program: no figure is of patients alone."
    yield from key.notes
    if config.objective != "study":
        yield f"The adversarial images are of {config.objective} (objective or attack), not of the paper's generators."
    yield BACKGROUNDS[config.background]
    if config.education in EDUCATION:
        yield EDUCATION[config.education]
    if tight := {number: gap for number, gap in gaps.items() if gap < GAP}:
        where = ", ".join(f"{gap} in session {number}" for number, gap in tight.items())
        yield f"Images of one patient are closer than {GAP} places, since there are few patients: {where}."
    if config.order == "same":
        yield "All readers see the images in the same order; tiredness and image are confounded."
    if config.session_4_overlap:
        yield "Session 4 may show mammograms of sessions 1 and 2, as in the paper."
    if request.group == "low" and not request.same_images:
        yield "The images of the low resolution were drawn on their own; many are in the other plan too."
    if request.same_images:
        yield "A reader who also reads the other resolution may remember images."
    if config.cancer_question != "off" or config.click_question:
        yield "Readers were asked more than in the paper: " + _asked(request) + "."
    if key.alike:
        yield (
            f"{len(key.alike)} pairs of images, one in session 3 and one in session 5, look like one image "
            "(mammogan check-shards names such pairs)."
        )
    if told := [row["name"] for row in key.cues if CueResult(**row).tells]:
        yield f"Cue audit: adversarial images can be told from originals by {', '.join(told)} alone."


def _asked(request: Request) -> str:
    config = request.config
    asked = [f"cancer ({config.cancer_question})"] if config.cancer_question != "off" else []
    return " and ".join(asked + (["where a change is suspected"] if config.click_question else []))
