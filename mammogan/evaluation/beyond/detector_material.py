"""Choose on whose mammograms detectors learn and on whose their alarm is set, and keep the trained detectors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mammogan.evaluation.beyond.attack_sources import Source
from mammogan.evaluation.beyond.attacked import Attacked
from mammogan.evaluation.beyond.deeper_run import DeeperRun
from mammogan.evaluation.beyond.kept_pixels import KeptPixels
from mammogan.evaluation.beyond.originals import Originals, choose_originals
from mammogan.evaluation.detector import Detector, DetectorNetwork, Images, train_detector
from mammogan.io.atomic import replaced_atomically
from mammogan.io.own_files import file_exists
from mammogan.io.terminal import say
from mammogan.training.run.checkpoint import Damaged, load
from mammogan.workspace import Direction

DETECTING = 2
"""Version of the detectors; increase it when the same images give other detectors."""


ENOUGH = 0.995
"""AUC on the training images at which the training of a detector ends before its last step."""


@dataclass(frozen=True)
class Material:
    """Originals of other patients than those of the test split."""

    train: Originals
    """Of the training split, on which generators were trained too, and of one half of the validation patients."""
    validation: Originals
    """The latter alone: no generator was trained on them."""
    alarm: Originals
    """Of the other half of the validation patients: detectors never see them, and their alarm is set on them."""

    @classmethod
    def of(cls, run: DeeperRun) -> Material:
        """Choose the material of a run. Raise MissingInput if a split has no mammogram of a class."""
        images = run.config.detector_images
        train = choose_originals(run.workspace, run.resolution, "train", images)
        every = choose_originals(run.workspace, run.resolution, "validation", 2 * images)
        seen = _every_other_patient(every)
        validation = every.subset(seen)
        return cls(Originals(train.samples + validation.samples), validation, every.subset(~seen))


def _every_other_patient(originals: Originals) -> np.ndarray:
    """Return which images belong to every second patient: of positives the first, third, ..., of negatives the second,
    fourth, ..., so that both halves have some, however few patients there are."""
    chosen: set[str] = set()
    for first, own in enumerate((originals.positive, ~originals.positive)):
        patients = dict.fromkeys(originals.subset(own).patients)
        chosen |= set(list(patients)[first::2])
    return np.array([patient in chosen for patient in originals.patients], dtype=bool)


def images_of(attacked: Attacked, direction: Direction | None, reals: Originals) -> Images:
    """Return what a detector separates: an attack's images, and real ones of the class that they pretend.

    None: both directions, and all real images.
    """
    originals = attacked.originals
    own = attacked.made if direction is None else attacked.made & originals.of(direction)
    pretended = np.ones(len(reals), bool) if direction is None else ~reals.of(direction)
    patients = {p for p, is_own in zip(originals.patients, own, strict=True) if is_own}
    patients |= {p for p, is_real in zip(reals.patients, pretended, strict=True) if is_real}
    return Images(reals.pixels[pretended], attacked.pixels[own], frozenset(patients))


@dataclass(frozen=True)
class KeptDetectors:
    """A folder of trained detectors."""

    folder: Path
    steps: int
    device: str

    def of(self, name: str, images: Images, seed: int) -> Detector:
        """Return the detector of these images and this seed: read, if it was trained on the same; trained otherwise."""
        path = self.folder / f"{name}-{seed}.pt".replace(" ", "-").replace(",", "")
        made_from = f"{DETECTING} {seed} {self.steps} {_identity(images)}"
        if (kept := _read(path)) and kept.get("made_from") == made_from:
            network = DetectorNetwork()
            network.load_state_dict(kept["state"])
            return Detector(network.to(self.device).eval())
        shown = f"{len(images.real)} originals, {len(images.adversarial)} adversarial"
        say(f"detector {name}, seed {seed}: training on {shown}")
        detector = train_detector(images, seed, self.steps, self.device, ENOUGH)
        with replaced_atomically(path) as temporary, open(temporary, "wb") as file:
            torch.save({"made_from": made_from, "state": detector.network.cpu().state_dict()}, file)
        detector.network.to(self.device)
        return detector


def _identity(images: Images) -> str:
    digest = hashlib.sha256(repr((images.real.shape, images.adversarial.shape)).encode())
    digest.update(images.real.tobytes())
    digest.update(images.adversarial.tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """Return what was kept; None if there is none, or it is damaged: then it is made again."""
    if not file_exists(path):
        return None
    try:
        return load(path)  # torch alone does not notice a changed byte
    except Damaged:
        return None


def attacked_training(run: DeeperRun, source: Source, material: Material) -> Attacked:
    """Return an attack's images of the training material."""
    return KeptPixels(run.kept / "attacks").of(source, material.train, "train")
