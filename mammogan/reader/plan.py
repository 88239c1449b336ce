"""Defines the plan of a reader study: sessions, places, images and each reader's order. It holds no truth.

A reading folder is drawn once by ``mammogan draw-reading`` and then only read. It is self-contained: copied to another
machine it can be served there. What is in it (folder.py reads and writes it):

    reading.json         this plan, written last: where it is, the folder is complete
    images/<name>.raw    one file an image: height x width little-endian uint16, row by row, without a header. All files
                         have the same size, mode 600 and the same mtime. <name> is 32 random hexadecimal digits, drawn
                         neither from the seed nor from the pixels
    SHA256SUMS           while the drawing goes on: the images that it has written
    plan.md              the same study for people: counts, rules, cue audit, deviations from the paper
    reading.sqlite*, links.csv, server.lock and the like belong to the server; drawing never touches them

Which image is an original, whose it is and the seed are in a private file outside the folder,
WORKSPACE/private/reading-<name>/key.json, mode 600 (key.py). The server must neither open it nor import key.py.

A session has places. A place is what is on the screen at once: one image, or the three of a triplet in the order
original, adversarial, difference. ``Session.places`` is sorted by image name and so says nothing; a reader sees them in
the order of ``ReadingPlan.orders``. Positions in an order are counted from 0. Every reader has every place of every
session exactly once. No image is in two places.

This module imports nothing heavy, and neither does folder.py.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from mammogan.errors import UserError

SCHEMA = 1
Kind = Literal["known", "blind", "triplet", "feedback"]
"""known: originals, the reader knows it; only Next. blind: real, not real or unsure. triplet: original, adversarial and
difference side by side; only Next. feedback: as blind, and ``Place.truth`` is shown after each answer (training
images only; never drawn unless it is requested)."""
ANSWERS = ("real", "not real", "unsure")
MIDDLE = 32768
"""Value of no change in a difference image, which holds MIDDLE + original - adversarial, clipped to uint16."""
PHANTOMS_ONLY = "The mammograms are phantoms, drawn by a program: no figure says anything about patients."
"""The note of a study on phantoms. In plans of earlier versions nothing else says what was shown."""


@dataclass(frozen=True)
class Window:
    """The grey values shown as black (``low`` and below) and white (``high`` and above), uint16."""

    low: int
    high: int


@dataclass(frozen=True)
class Outline:
    """A circle around what was changed, in image pixels from the top left corner."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Place:
    """What is on the screen at once: the names of one image, or of a triplet's three."""

    images: tuple[str, ...]
    truth: str = ""
    """Empty, except in a session of kind feedback: real or not real, shown after the answer."""
    outline: Outline | None = None
    """Where the change is, drawn over the adversarial image and the difference of a triplet; None: nothing is
    drawn."""


@dataclass(frozen=True)
class Session:
    """One sitting: its places and what the reader is told before it."""

    number: int
    """From 1. A session is open when all lower ones are finished."""
    kind: Kind
    title: str
    instructions: str
    """Plain text for the page before the session; an empty line starts a new paragraph."""
    places: tuple[Place, ...]

    @property
    def asks(self) -> bool:
        """Whether the reader answers here; otherwise there is only Next."""
        return self.kind in ("blind", "feedback")


@dataclass(frozen=True)
class Questions:
    """What is asked besides real, not real and unsure, in sessions that ask. All off, as in the paper."""

    cancer: Literal["off", "yes-no", "1-5"] = "off"
    """A second question per image: cancer, yes or no, or a suspicion from 1 to 5."""
    click: bool = False
    """The reader clicks where they suspect a change."""


@dataclass(frozen=True)
class Phantoms:
    """What phantoms, which a program has drawn, are among the mammograms; no ``kind``: all are of patients."""

    kind: str = ""
    """What every caption says, such as 'phantom mammograms, lesion contrast x12.5'; of several kinds, all of them."""
    and_patients: bool = False
    """Whether mammograms of patients are shown, too."""

    @property
    def only(self) -> bool:
        """Whether every mammogram is a phantom."""
        return bool(self.kind) and not self.and_patients


@dataclass(frozen=True)
class ImageFile:
    """One file of the folder: its name without .raw, and the sha256 of its bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class ReadingPlan:
    """All that the server may know of a study."""

    name: str
    identity: str
    """32 random hexadecimal digits, the same in the key: a key of another drawing is noticed."""
    key_sha256: str
    """sha256 of the private key file: a changed key is noticed."""
    height: int
    width: int
    resolution: Literal["high", "low"]
    """Which of the paper's two groups of readers this is; ``height`` and ``width`` say the size."""
    simulated: bool
    """Whether the readers are simulated. Every page, table and file says so then."""
    window: Window
    """Default window of all images but differences."""
    difference_scale: int
    """Half the width of the default window of difference images, in grey values; 0 where there are no triplets."""
    readers: tuple[str, ...]
    sessions: tuple[Session, ...]
    orders: dict[str, dict[int, tuple[int, ...]]]
    """By reader and session number: indices into ``Session.places``, in reading order."""
    practice: tuple[str, ...]
    """Images to try the keys on; no answers are kept. They are in no session."""
    consent: str
    """Text of the information and consent page; empty: there is none."""
    ending: str
    """Text of the page after the last session."""
    questions: Questions
    notes: tuple[str, ...]
    """Sentences for the coordinator and for every table, such as that the sessions were scaled. No truth."""
    images: tuple[ImageFile, ...]
    """Every file in images/, sorted by name."""
    phantoms: Phantoms = Phantoms()
    """What phantoms were drawn. Every page, table and picture says so. It says nothing of single images."""
    schema: int = SCHEMA

    @property
    def image_bytes(self) -> int:
        """Size of every image file."""
        return 2 * self.height * self.width

    @property
    def difference_window(self) -> Window:
        """Default window of difference images: MIDDLE is mid grey."""
        return Window(max(0, MIDDLE - self.difference_scale), min(65535, MIDDLE + self.difference_scale))

    def session(self, number: int) -> Session:
        """Return a session by its number; KeyError if there is none."""
        return {session.number: session for session in self.sessions}[number]

    def order_of(self, reader: str, session: int) -> tuple[Place, ...]:
        """Return the places of a session as this reader sees them; KeyError for an unknown reader or session."""
        places = self.session(session).places
        return tuple(places[index] for index in self.orders[reader][session])

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values; ``from_json`` reads them back to an equal plan."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any], where: str) -> ReadingPlan:
        """Read the values of ``to_json``. Raise UserError, naming ``where``, for what is not such a plan."""
        try:
            return _read(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{where} is no plan of a reader study that this version can read (schema {SCHEMA} expected): {error}; "
                "draw the study again, or use the version of MammoGAN that drew it"
            ) from error


def _read(values: dict[str, Any]) -> ReadingPlan:
    if values["schema"] != SCHEMA:
        raise ValueError(f"found schema {values['schema']}")
    orders = {
        reader: {int(number): tuple(order) for number, order in of_reader.items()}
        for reader, of_reader in values["orders"].items()
    }
    lists = {name: tuple(values[name]) for name in ("readers", "practice", "notes")}
    return ReadingPlan(
        **{
            **values,
            **lists,
            "orders": orders,
            "window": Window(**values["window"]),
            "questions": Questions(**values["questions"]),
            "sessions": tuple(_session(session) for session in values["sessions"]),
            "images": tuple(ImageFile(**image) for image in values["images"]),
            "phantoms": _phantoms(values),
        }
    )


def _phantoms(values: dict[str, Any]) -> Phantoms:
    if "phantoms" in values:
        return Phantoms(**values["phantoms"])
    return Phantoms("phantom mammograms" if PHANTOMS_ONLY in values["notes"] else "")


def _session(values: dict[str, Any]) -> Session:
    return Session(**{**values, "places": tuple(_place(place) for place in values["places"])})


def _place(values: dict[str, Any]) -> Place:
    outline = Outline(**values["outline"]) if values["outline"] else None
    return Place(**{**values, "images": tuple(values["images"]), "outline": outline})
