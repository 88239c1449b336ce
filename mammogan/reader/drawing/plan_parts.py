"""Build the plan from the key: places, each reader's orders, titles and texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mammogan.io.atomic import sha256
from mammogan.reader.drawing.notes import notes_of
from mammogan.reader.drawing.orders import order_of
from mammogan.reader.drawing.request import Request
from mammogan.reader.drawing.written_images import WrittenImages
from mammogan.reader.key import KeyImage, ReadingKey, Role
from mammogan.reader.plan import ImageFile, Kind, Outline, Phantoms, Place, Questions, ReadingPlan, Session, Window

SESSIONS: dict[int, Kind] = {1: "known", 2: "blind", 3: "blind", 4: "triplet", 5: "blind"}
PANELS: tuple[Role, ...] = ("real", "fake", "difference")
TRUTH = {"real": "real", "fake": "not real"}
KeyPlace = tuple[KeyImage, ...]
"""The images of one place: one, or the three of a triplet in the order of PANELS."""


@dataclass(frozen=True)
class Orders:
    """The places of each session, sorted by their first image's name, and each reader's order of them."""

    places: dict[int, list[KeyPlace]]
    of_reader: dict[str, dict[int, tuple[int, ...]]]
    gaps: dict[int, int]
    """By session: the smallest gap between images of one patient in any reader's order (orders.py)."""


def ordered(key: ReadingKey, readers: Sequence[str], order: str) -> Orders:
    """Order the places for each reader. The same key gives the same orders, whatever the images are called."""
    places, gaps = {number: _places(key, number) for number in SESSIONS}, {}
    of_reader: dict[str, dict[int, tuple[int, ...]]] = {reader: {} for reader in readers}
    for number, of_session in places.items():
        by_key = sorted(range(len(of_session)), key=lambda at: (of_session[at][0].key, of_session[at][0].role))
        patients = [of_session[at][0].patient for at in by_key]
        found = []
        for index, reader in enumerate(readers):
            chosen, gap = order_of(patients, key.seed, number, 0 if order == "same" else index)
            of_reader[reader][number] = tuple(by_key[at] for at in chosen)
            found.append(gap)
        gaps[number] = min(found)
    return Orders(places, of_reader, gaps)


def _places(key: ReadingKey, number: int) -> list[KeyPlace]:
    images = key.of_session(number)
    groups: dict[str, list[KeyImage]] = defaultdict(list)
    for image in images:
        groups[image.key].append(image)
    places = [tuple(sorted(group, key=lambda image: PANELS.index(image.role))) for group in groups.values()]
    return sorted(places, key=lambda place: [image.image for image in place])


def plan_of(
    request: Request,
    key: ReadingKey,
    orders: Orders,
    circles: Mapping[str, Outline],
    phantoms: Phantoms,
    written: WrittenImages,
) -> ReadingPlan:
    """Return the plan of the written images. ``circles``: outlines by the name of the difference image."""
    config, texts = request.config, request.texts
    kinds = SESSIONS | ({4: "feedback"} if config.education == "feedback" else {})
    sessions = tuple(
        Session(number, kind, f"Session {number}", texts[kind], _public(orders.places[number], kind, circles))
        for number, kind in kinds.items()
    )
    return ReadingPlan(
        name=key.name,
        identity=key.identity,
        key_sha256=sha256(request.key_file),
        height=request.resolution.height,
        width=request.resolution.width,
        resolution=request.group,
        simulated=config.simulated,
        window=Window(*key.window),
        difference_scale=key.difference_scale,
        readers=request.readers,
        sessions=sessions,
        orders=orders.of_reader,
        practice=tuple(image.image for image in key.images if not image.session),
        consent=texts["consent"],
        ending=texts["ending"],
        questions=Questions(config.cancer_question, config.click_question),
        notes=tuple(notes_of(request, key, phantoms, orders.gaps)),
        images=tuple(ImageFile(i.image, written.sha256_of(i.image)) for i in key.images),
        phantoms=phantoms,
    )


def _public(places: Sequence[KeyPlace], kind: Kind, circles: Mapping[str, Outline]) -> tuple[Place, ...]:
    return tuple(
        Place(
            tuple(image.image for image in place),
            TRUTH[place[0].role] if kind == "feedback" else "",
            circles.get(place[-1].image),
        )
        for place in places
    )
