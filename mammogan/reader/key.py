"""The private key of a reader study: which image is what. It stays outside the reading folder, mode 600.

It is written before the images, so that an interrupted drawing continues with the same images under the same names.
Nothing that serves a study may import this module; a test holds that.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import PRIVATE, sha256
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record, write_record
from mammogan.reader.plan import ReadingPlan

SCHEMA = 1
ABOUT = "private key of a MammoGAN reader study: keep it away from readers and from the machine that serves the study"
Role = Literal["real", "fake", "difference"]
BRING_BACK = "Bring it back from your copy"
MIXED_SESSIONS = (3, 5)
"""Sessions in which readers tell originals from adversarial images, before and after the triplets of session 4."""


@dataclass(frozen=True)
class KeyImage:
    """One image file of the folder: what it shows, and of whom."""

    image: str
    """Name of the file, without .raw."""
    session: int
    """0: a practice image."""
    role: Role
    """real: an original. fake: an adversarial image. difference: original - adversarial, of a triplet."""
    key: str
    """Key of the original in the shards, also for an adversarial image and a difference."""
    fake_key: str
    """Key of the adversarial image; empty for an original."""
    patient: str
    split: str
    label: str
    """Label of the original."""
    looks: str
    """Label that the image should seem to have: the flipped one for an adversarial image, otherwise ``label``."""


@dataclass(frozen=True)
class ReadingKey:
    """Everything about a drawing that its readers and its server must not know."""

    name: str
    identity: str
    """The same as in the plan."""
    seed: int
    made_from: dict[str, Any]
    """Options and sha256 of the shards. The same command with other values does not continue this drawing."""
    made_by: dict[str, Any]
    images: tuple[KeyImage, ...]
    """Sorted by name."""
    window: tuple[int, int]
    difference_scale: int
    cues: tuple[dict[str, Any], ...]
    """The rows of the cue audit (cues.py)."""
    left_out: dict[str, int]
    """How many mammograms could not be drawn, by reason."""
    notes: tuple[str, ...]
    alike: tuple[tuple[str, str], ...] = ()
    """Keys of originals of session 3 and of session 5 that look like one image, though they are of two patients."""
    schema: int = SCHEMA
    about: str = ABOUT

    def of_session(self, number: int) -> list[KeyImage]:
        """Return the images of a session, sorted by key, then role."""
        return sorted((i for i in self.images if i.session == number), key=lambda i: (i.key, i.role))

    def save(self, path: Path) -> None:
        """Write the key so that only its owner can read it, also while it is written."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_record(path, dataclasses.asdict(self), PRIVATE)

    @classmethod
    def load_of(cls, plan: ReadingPlan, path: Path) -> ReadingKey:
        """Read the key of a plan. Raise UserError if it is of another drawing, or was changed since; as ``load``."""
        key = cls.load(path)
        if plan.identity != key.identity:
            raise UserError(f"{path} is the key of another drawing than {plan.name}. Bring back the one of this study")
        if plan.key_sha256 != sha256(path):
            raise UserError(
                f"{path} was changed after the study was drawn, so its truth cannot be believed. {BRING_BACK}"
            )
        return key

    @classmethod
    def load(cls, path: Path) -> ReadingKey:
        """Read a key. Raise MissingInput if there is none, UserError if the file is no key of this version."""
        if not file_exists(path):
            raise MissingInput(f"no key of a reader study at {path}: it is written when the study is drawn")
        values = read_record(path, None, BRING_BACK)
        try:
            if values["schema"] != SCHEMA or values["about"] != ABOUT:
                raise ValueError(f"schema {values['schema']}")
            lists = {name: tuple(values[name]) for name in ("window", "cues", "notes")}
            lists["alike"] = tuple(tuple(pair) for pair in values["alike"])
            return cls(**{**values, **lists, "images": tuple(KeyImage(**image) for image in values["images"])})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} is no key of a reader study that this version can read (schema {SCHEMA}): {error}. "
                f"{BRING_BACK}, or use the version of MammoGAN that drew the study"
            ) from None
