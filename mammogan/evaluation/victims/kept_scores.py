"""Score sets of images with a victim, and keep the scores: what was scored before is never scored again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mammogan.errors import UserError
from mammogan.evaluation.victims.image_set import ImageSet
from mammogan.evaluation.victims.victim import Victim
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record, write_record
from mammogan.io.temporary import remove_abandoned_of
from mammogan.io.terminal import say, track
from mammogan.models.networks import unit_pixels

Floats = NDArray[np.float64]
SHAPE = {"made_from": dict, "scores": dict}
REMEDY = "Delete it and repeat mammogan evaluate-deeper, which scores these images again"


class Scorer(Protocol):
    """Something that has the probability of cancer of each image of a set: a victim here, or a table of scores."""

    @property
    def name(self) -> str:
        """Short name of the victim, as in tables."""

    @property
    def sha256(self) -> str:
        """What identifies the victim or its table of scores."""

    def scores(self, images: ImageSet) -> Floats:
        """Return the probability of cancer of each image, (N,), in order."""


@dataclass(frozen=True)
class KeptScores:
    """The scores of a victim that is asked here, kept in one file for each set of images."""

    victim: Victim
    folder: Path
    batch: int = 4

    @property
    def name(self) -> str:
        return self.victim.name

    @property
    def sha256(self) -> str:
        return self.victim.sha256

    def scores(self, images: ImageSet) -> Floats:
        """Return the probability of cancer of each image; those that are kept and still match are not made again."""
        path = self.folder / self.name / f"{images.name.replace(' ', '-').replace('/', '-')}.json"
        made_from = {"victim_sha256": self.sha256, "images_sha256": images.identity}
        if file_exists(path):
            kept = read_record(path, SHAPE, REMEDY)
            if kept["made_from"] == made_from and list(kept["scores"]) == list(images.keys):
                return np.array(list(kept["scores"].values()), dtype=float)
        found = self._asked(images)
        remove_abandoned_of(path)
        write_record(path, {"made_from": made_from, "scores": dict(zip(images.keys, found, strict=True))})
        return np.array(found, dtype=float)

    def _asked(self, images: ImageSet) -> list[float]:
        say(f"{self.name}: scoring {len(images)} images ({images.name})")
        at_once = max(1, min(self.batch, self.victim.at_once))
        waiting = track(images.samples(), len(images), f"{self.name}, {images.name}")
        found: list[float] = []
        while several := list(islice(waiting, at_once)):
            pixels = unit_pixels(torch.from_numpy(np.stack([sample.pixels for sample in several]))[:, None])
            found += [float(p) for p in self.victim.positive_probability(pixels)]
        if wrong := [f"{key} ({p})" for key, p in zip(images.keys, found, strict=True) if not 0 <= p <= 1]:
            raise UserError(
                f"victim {self.name} should give probabilities from 0 to 1 and gives none for {', '.join(wrong[:5])}: "
                "its network may be damaged, or its output no probability"
            )
        return found
