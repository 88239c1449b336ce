"""Defines the workspace, the folder where every stage finds its input and writes its output, and the names used in it.

This module imports nothing heavy.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from mammogan.errors import MissingInput as MissingInput
from mammogan.errors import UserError
from mammogan.left_by_others import ours_in

SPLITS = ("train", "validation", "test")
LABELS = ("negative", "positive")
Label = Literal["negative", "positive"]


@dataclass(frozen=True, order=True)
class Resolution:
    """Size of an image in pixels. Both sides are multiples of 32 and at least 96 (five poolings and a stride)."""

    height: int
    width: int

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            if side < 96 or side % 32:
                raise UserError(
                    f"resolution {self.height}x{self.width}: both sides must be multiples of 32 and at least 96; "
                    "the study's are high = 1728x1408 and low = 1024x832"
                )

    @classmethod
    def parse(cls, text: str) -> Resolution:
        """Read 'high', 'low' or 'HEIGHTxWIDTH'; anything else is a UserError."""
        named = {"high": HIGH, "low": LOW}
        if text in named:
            return named[text]
        match = re.fullmatch(r"(\d+)x(\d+)", text)
        if not match:
            raise UserError(f"resolution {text!r}: expected high, low or HEIGHTxWIDTH such as 1024x832")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


HIGH = Resolution(1728, 1408)
LOW = Resolution(1024, 832)


class Direction(StrEnum):
    """What a generator does: ``remove`` makes positives look negative, ``insert`` negatives positive (study, section
    4)."""

    REMOVE = "remove"
    INSERT = "insert"

    @property
    def source(self) -> Label:
        """Label of the mammograms that the generator changes (the study's y)."""
        return "positive" if self is Direction.REMOVE else "negative"

    @property
    def target(self) -> Label:
        """Label that the adversarial mammograms should seem to have (the study's x are real mammograms with it)."""
        return "negative" if self is Direction.REMOVE else "positive"


Objective = Literal["study", "lesion"]
"""What a generator is trained for. study: Eq. 8 of the paper, against a discriminator that starts from the CAD. lesion:
a small, sparse change after which a new critic finds no lesion (docs/lesion_objective.md)."""
OBJECTIVES: tuple[Objective, ...] = ("study", "lesion")


EXPORTED = "model.safetensors"
"""File with the weights of an exported model, in its folder."""


@dataclass(frozen=True)
class Workspace:
    """The folder that holds all inputs and results of a study; each stage finds its input here by convention.

    All objectives share the shards and the CADs. Generators, adversarial mammograms, scores and reports of the lesion
    objective, and of an attack of your own, have its name in their folder's name: runs/gan-<size>-remove-lesion,
    adversarial-lesion/.
    """

    root: Path
    objective: str = "study"
    """study, lesion, or the name of an attack of your own."""

    @property
    def suffix(self) -> str:
        """Ending of the names of an objective's folders and stages; empty for the study's objective."""
        return "" if self.objective == "study" else f"-{self.objective}"

    def of(self, objective: str) -> Workspace:
        """Return the same folder for another objective or attack."""
        return Workspace(self.root, objective)

    @property
    def cohort(self) -> Path:
        """Table of all mammograms in the shards, with the paths of their files."""
        return self.root / "cohort.csv"

    @property
    def salt(self) -> Path:
        """Secret from which pseudonyms are made; mode 600, never inside the shards."""
        return self.root / "private" / "salt"

    @property
    def regions(self) -> Path:
        """Lesion regions of an archive, by the key of each sample; mode 600, and only if the archive has some.

        They belong to the table, which the seeds of a cross-validation's fold have as a link to the fold's.
        """
        return self.cohort.resolve().parent / "private" / "regions.json"

    @property
    def predictions(self) -> Path:
        """The CAD's predictions for the test split, from which folds are pooled."""
        return self.report / "predictions.csv"

    def shards(self, resolution: Resolution) -> Path:
        """Return the folder of the shards."""
        return self.root / "shards" / str(resolution)

    def run(self, name: str) -> Path:
        """Return a run's folder. In a folder with exported models, it is the exported model of that name; a workspace's
        own runs come before a model that was exported into it."""
        exported, own = self.root / name, self.root / "runs" / name
        return exported if _is_in(exported, EXPORTED) and not os.path.lexists(own) else own

    def cad_run(self, resolution: Resolution) -> Path:
        """Return the run folder of the CAD."""
        return self.run(f"cad-{resolution}")

    def gan_run(self, resolution: Resolution, direction: Direction) -> Path:
        """Return the run folder of the generator."""
        return self.run(f"gan-{resolution}-{direction}{self.suffix}")

    def adversarial(self, resolution: Resolution) -> Path:
        """Return the folder of the adversarial shards."""
        return self.root / f"adversarial{self.suffix}" / str(resolution)

    def scores(self, split: str) -> Path:
        """Return the folder of the scores of one split."""
        return self.root / f"scores{self.suffix}" / split

    def attacks(self) -> list[str]:
        """Return the objectives and attacks that may have adversarial mammograms here, the study's first."""
        prefix = "adversarial-"
        own = sorted(path.name.removeprefix(prefix) for path in ours_in(self.root, f"{prefix}*") if path.is_dir())
        return [*OBJECTIVES, *(name for name in own if name not in OBJECTIVES)]

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.root / f"report{self.suffix}"

    def reading(self, name: str) -> Path:
        """Return the folder of a reader study, which is served to its readers."""
        return self.root / "reading" / name

    def reading_key(self, name: str) -> Path:
        """Return the file that says which image of a reader study is which; mode 600, never inside its folder."""
        return self.root / "private" / f"reading-{name}" / "key.json"

    def resolutions(self) -> list[Resolution]:
        """Return the resolutions that have finished shards, highest first."""
        folders = [folder for folder in ours_in(self.root, "shards/*x*") if _is_in(folder, "index.json")]
        found = [Resolution.parse(folder.name) for folder in folders]
        return sorted(found, reverse=True)


def _is_in(folder: Path, name: str) -> bool:
    """Return whether something has this name in a folder, even if it is a broken link or may not be looked at: whoever
    reads it says so, while what is passed over would count as never made."""
    try:
        os.lstat(folder / name)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
