"""Turn the drawn mammograms into the images that readers see: audit them first, then write them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mammogan.attack.config import Background
from mammogan.data.inspect.near_duplicates import ALIKE, texture
from mammogan.io.terminal import track
from mammogan.reader.drawing import cues, presentation
from mammogan.reader.drawing.cues import CueResult
from mammogan.reader.drawing.draw import Drawing, Shown
from mammogan.reader.drawing.pool import DIRECTION, Pool
from mammogan.reader.drawing.presentation import Pixels
from mammogan.reader.drawing.written_images import WrittenImages
from mammogan.reader.folder import ReadingFolder
from mammogan.reader.key import MIXED_SESSIONS, KeyImage, ReadingKey, Role
from mammogan.reader.plan import Outline, Window

Texture = NDArray[np.float32]


@dataclass(frozen=True)
class Audited:
    """What was found while all drawn images were read once."""

    window: Window
    difference_scale: int
    cues: tuple[CueResult, ...]
    alike: tuple[tuple[str, str], ...]
    """Keys of originals in session 3 and in session 5 that look like one image; to be looked at, not a proof."""


def audit(drawing: Drawing, pool: Pool, background: Background) -> Audited:
    """Read every blind image and every triplet; return the default window, the difference scale, the cues, and which
    mammograms of session 3 look like one of session 5.

    The window comes from the originals of the blind images, whichever way these are shown.
    """
    originals, differences = (np.zeros(presentation.GREYS, np.int64) for _ in range(2))
    numbers: dict[str, list[list[float]]] = {"real": [], "fake": []}
    textures: dict[int, dict[str, Texture]] = {number: {} for number in MIXED_SESSIONS}
    drawn = [(number, one) for number in (*MIXED_SESSIONS, 4) for one in drawing.sessions[number]]
    for number, one in track(drawn, len(drawn), "images audited"):
        original = pool.sources[one.key].pixels()
        if number in MIXED_SESSIONS:
            originals += presentation.greys(original)
            textures[number][one.key] = texture(original)
            numbers[one.shown].append(cues.measure(_image(pool, one.key, original, one.shown, background)))
        elif one.shown == "triplet":
            differences += presentation.greys(_image(pool, one.key, original, "difference", background))
    window = presentation.default_window(originals)
    scale = presentation.difference_scale(differences) if differences.any() else 0
    found = tuple(cues.audit(numbers["real"], numbers["fake"], window))
    return Audited(window, scale, found, tuple(look_alike(*(textures[number] for number in MIXED_SESSIONS))))


def look_alike(ones: Mapping[str, Texture], others: Mapping[str, Texture]) -> Iterator[tuple[str, str]]:
    """Yield the keys of mammograms, one of each group, whose textures correlate as only those of one image do."""
    correlated = np.stack(list(ones.values())) @ np.stack(list(others.values())).T
    for one, other in np.argwhere(correlated >= ALIKE):
        yield list(ones)[one], list(others)[other]


def name_images(drawing: Drawing, pool: Pool) -> tuple[KeyImage, ...]:
    """Give every image of the drawing a random name; sorted by name, which is a random order."""
    images = [
        _named(session, role, one, pool)
        for session, of_session in {**drawing.sessions, 0: drawing.practice}.items()
        for one in of_session
        for role in _roles(one)
    ]
    return tuple(sorted(images, key=lambda image: image.image))


def _roles(one: Shown) -> Sequence[Role]:
    return ("real", "fake", "difference") if one.shown == "triplet" else (one.shown,)


def _named(session: int, role: Role, one: Shown, pool: Pool) -> KeyImage:
    direction = DIRECTION[one.label]
    return KeyImage(
        image=secrets.token_hex(16),
        session=session,
        role=role,
        key=one.key,
        fake_key="" if role == "real" else f"{one.key}-{direction}",
        patient=one.patient,
        split=pool.sources[one.key].candidate.split,
        label=one.label,
        looks=direction.target if role == "fake" else one.label,
    )


def write_images(folder: ReadingFolder, key: ReadingKey, pool: Pool, background: Background) -> WrittenImages:
    """Write the images that are missing or not as they were written, in the order of their names; return all."""
    written = WrittenImages(folder)
    missing = [image for image in key.images if not written.has(image.image)]
    for image in track(missing, len(missing), f"images written to {folder.path}"):
        original = pool.sources[image.key].pixels()
        shown = _image(pool, image.key, original, image.role, background)
        written.write(image.image, presentation.raw(shown))
    return written


def outlines(key: ReadingKey, pool: Pool, background: Background) -> dict[str, Outline]:
    """Return a circle around the change by the name of the difference image; images without a change have none."""
    return dict(_outlines(key, pool, background))


def _outlines(key: ReadingKey, pool: Pool, background: Background) -> Iterator[tuple[str, Outline]]:
    for image in key.images:
        if image.role == "difference":
            original = pool.sources[image.key].pixels()
            if circle := presentation.outline(_image(pool, image.key, original, "difference", background)):
                yield image.image, circle


def _image(pool: Pool, key: str, original: Pixels, role: str, background: Background) -> Pixels:
    """Return the pixels of an image of this original as readers see them."""
    if role == "real":
        return presentation.present(original, original, background)
    adversarial = presentation.present(pool.sources[key].fake_pixels(), original, background)
    return adversarial if role == "fake" else presentation.difference(original, adversarial)
