"""Trains new detectors to distinguish an attack's images from real images of the class that they imitate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from mammogan.attack.config import GenerateConfig
from mammogan.attack.insertion_choice import InsertionChoice
from mammogan.attack.methods import Attack, load_attack
from mammogan.attack.original_background import with_original_background
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import Sample, read_shard
from mammogan.evaluation.detector import Images, Pixels
from mammogan.evaluation.forensics.fresh_detector import DetectorAuc, train_and_test_detectors
from mammogan.evaluation.phantom_truth import phantom_truth
from mammogan.io.terminal import say
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.cad_source import cad_source
from mammogan.training.run.trained_networks import read_generator
from mammogan.workspace import Direction, Label, Objective, Resolution, Workspace

IMAGES = 276
"""Most training images of each class for a detector: the number of training positives of 600 patients."""
BATCH = 8


@dataclass(frozen=True)
class Detection:
    """One detection to measure; small enough to be pickled for another process."""

    trained: Path
    """Workspace whose training split the detector learns from."""
    unseen: Path
    """Workspace whose test split the detector is tested on."""
    size: Resolution
    objective: Objective | None
    """Objective of the attack; None: the lesion-free twins of positives, the lower limit for removals."""
    direction: Direction
    steps: int
    seeds: int

    @property
    def name(self) -> str:
        return f"{self.objective or 'twins'}, {self.direction}"


def detect(task: Detection) -> dict[str, float]:
    """Return the AUC of both detectors on the test split, and of the network on its training images.

    Empty if there are no twins, or no images of a class.
    """
    say(f"{task.name}: training detectors")
    device = str(choose_device("auto"))
    trained, unseen = _images(task, Workspace(task.trained), "train"), _images(task, Workspace(task.unseen), "test")
    if not all(map(len, (trained.real, trained.adversarial, unseen.real, unseen.adversarial))):
        return {}
    found = train_and_test_detectors(trained, unseen, range(task.seeds), task.steps, device)
    networks: list[DetectorAuc] = list(found.network.values())
    return {
        "fresh_network": float(np.mean([told.test for told in networks])),
        "fresh_network_train": float(np.mean([told.train for told in networks])),
        "fresh_spectrum": found.spectrum.test,
    }


def _images(task: Detection, workspace: Workspace, split: str) -> Images:
    """Return adversarial images of a split, and as many real ones; in the test split there may be more real ones."""
    most = IMAGES if split == "train" else None
    sources = first_of(workspace, task.size, split, task.direction.source, most)
    reals = first_of(workspace, task.size, split, task.direction.target, most)
    if task.objective is None:
        truth = phantom_truth(workspace.cohort)
        twins = (known.twin for s in sources if (known := truth.of(s.key, s.facts)))
        return Images(_stacked(s.pixels for s in reals), _stacked(twin for twin in twins if twin is not None))
    tries = GenerateConfig().tries
    attack = attack_of(Workspace(task.trained, task.objective), task.size, task.direction, tries)
    altered = adversarial_of(attack, sources)
    return Images(_stacked(s.pixels for s in reals), _stacked(s.pixels for s in altered))


def _stacked(pixels: Iterable[Pixels]) -> Pixels:
    found = list(pixels)
    return np.stack(found) if found else np.empty((0, 0, 0), np.uint16)


def first_of(workspace: Workspace, size: Resolution, split: str, label: Label, most: int | None = None) -> list[Sample]:
    """Return the first ``most`` mammograms of a split and label; None: all."""
    folder = workspace.shards(size)
    shards = [shard for shard in ShardIndex.load(folder).of_split(split) if shard.label == label]
    return list(islice((sample for shard in shards for sample in read_shard(folder / shard.name)), most))


def attack_of(view: Workspace, size: Resolution, direction: Direction, tries: int) -> Attack:
    """Load the attack that a training has made, as mammogan generate does."""
    generator = read_generator(view.gan_run(size, direction))[1]
    choosing = InsertionChoice.of(generator, tries, GenerateConfig().seed, cad_source(view, size))
    return load_attack(generator, choosing, str(choose_device("auto")))


def adversarial_of(attack: Attack, samples: Iterable[Sample]) -> list[Sample]:
    """Make adversarial mammograms with the originals' keys, facts, air and grey grid."""
    made: list[Sample] = []
    for several in _batches(samples):
        pixels = torch.from_numpy(np.stack([sample.pixels for sample in several]))[:, None]
        altered = attack.alter(pixels, [sample.facts for sample in several])
        made += [
            replace(real, pixels=with_original_background(real.pixels, new[0].numpy(), "original"))
            for real, new in zip(several, altered, strict=True)
        ]
    return made


def _batches(samples: Iterable[Sample]) -> Iterator[Sequence[Sample]]:
    waiting = iter(samples)
    while several := list(islice(waiting, BATCH)):
        yield several
