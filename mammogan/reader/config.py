"""Define the options of ``mammogan draw-reading`` with their defaults, and what an "unsure" may count.

This module imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mammogan.attack.config import Background
from mammogan.errors import UserError

READER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
STUDY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
MOST_SEED = 2**63 - 1
Unsure = Literal["wrong", "half", "left out"]
"""How an unsure answer counts in an accuracy. The paper is silent; wrong: it identified nothing."""


@dataclass(frozen=True)
class DrawConfig:
    """Options for drawing the five sessions of a reader study (study, section 7)."""

    name: str = ""
    """Name of the study, small letters, digits and hyphens. Its folder is WORKSPACE/reading/NAME. Default: the
    objective; the plan of --low-readers has -low after it."""
    readers: tuple[str, ...] = ("R1", "R2", "R3", "R4", "R5")
    """Codes of the readers who see the high resolution; never names of persons."""
    low_readers: tuple[str, ...] = ()
    """Codes of readers who see the low resolution, such as R1 R2: a separate plan, folder and key."""
    low_same_images: bool = False
    """Show the low readers the same images as the others, for a paired comparison. Default: a draw of their own. A
    person who reads both may remember images."""
    resolution: str = ""
    """high, low or HEIGHTxWIDTH of --readers. Default: the largest that has shards."""
    low_resolution: str = ""
    """high, low or HEIGHTxWIDTH of --low-readers. Default: the second largest that has shards."""
    objective: str = "study"
    """study, lesion, or the name of an attack of your own: whose adversarial mammograms are shown."""
    background: Background = "original"
    """original: the air around the breast is the original's in adversarial images too. as-generated, as in the paper:
    all pixels as the generator made them, which may show at the border which image is which (docs/reading.md)."""
    order: Literal["per-reader", "same"] = "per-reader"
    """per-reader: every reader sees a session in a random order of their own, which averages out tiredness. same: one
    random order for all."""
    session_4_overlap: bool = False
    """Draw session 4 from all training mammograms, as in the paper; some may be in session 1 or 2 too. Default: others
    than in sessions 1 and 2."""
    education: Literal["triplets", "outlined", "feedback"] = "triplets"
    """What session 4 shows. triplets: original, adversarial and difference, as in the paper. outlined: a circle around
    the change, too. feedback: single images as in session 3, and the truth after each answer."""
    cancer_question: Literal["off", "yes-no", "1-5"] = "off"
    """Ask a second question per image: cancer, yes or no, or a suspicion from 1 to 5. Not in the paper."""
    click_question: bool = False
    """Ask the reader to click where they suspect a change. Not in the paper."""
    scale: float = 1.0
    """Draw only this share of the study's 100, 100, 436, 100 and 440 images, for a rehearsal. Cohorts that are too
    small for all of them are scaled anyway."""
    texts: Path | None = None
    """YAML file with your own consent, known, blind, triplet, feedback and ending texts, in your readers' language."""
    simulated: bool = False
    """The readers are simulated. Every page and table says so."""
    seed: int | None = None
    """Seed of the draw. Keep it secret: with the cohort it tells which image is which. Default: a random one, kept in
    the private key."""
    allow_cues: bool = False
    """Draw even if a single number that can be seen, such as the grey of the corners, tells adversarial images from
    originals."""
    allow_out_of_domain: bool = False
    """Also show adversarial mammograms of generators that were trained on other mammograms than these."""

    def __post_init__(self) -> None:
        check_readers("readers", self.readers)
        check_readers("low-readers", self.low_readers, least=0)
        if self.name and not STUDY_NAME.fullmatch(self.name):
            raise UserError(f"--name {self.name}: expected small letters, digits and hyphens, such as study-2")
        if not 0 < self.scale <= 1:
            raise UserError(f"--scale {self.scale}: expected more than 0 and at most 1")
        if self.seed is not None and not 0 <= self.seed <= MOST_SEED:
            raise UserError(f"--seed {self.seed}: expected 0 to {MOST_SEED}")
        if self.low_same_images and not self.low_readers:
            raise UserError("--low-same-images is for --low-readers: name them, or leave it out")

    @property
    def title(self) -> str:
        """Name of the folder of the high resolution."""
        return self.name or self.objective

    @property
    def low_title(self) -> str:
        """Name of the folder of the low resolution."""
        return f"{self.title}-low"


def check_readers(option: str, readers: Sequence[str], least: int = 1) -> None:
    """Raise UserError for codes of readers that are missing, repeated, or no codes."""
    if len(readers) < least:
        raise UserError(f"--{option}: expected at least one code such as R1")
    if wrong := [reader for reader in readers if not READER.fullmatch(reader)]:
        raise UserError(
            f"--{option} {' '.join(wrong)}: expected codes of at most 32 letters, digits, - and _, such as R1 R2; "
            "a code must not be the name of a person"
        )
    if len({reader.lower() for reader in readers}) < len(readers):
        raise UserError(f"--{option} {' '.join(readers)}: a code occurs twice")
