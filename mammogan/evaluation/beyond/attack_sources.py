"""Where the images of every attack come from: adversarial shards, simple attacks made here, and controls.

Controls are what "transfer" and "fooled" have to be compared with: a generator used the wrong way round, and the change
that was made for another image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch

from mammogan.attack.config import BASELINES, GenerateConfig
from mammogan.attack.folder import AdversarialFolder
from mammogan.attack.generator_check import read_checked
from mammogan.attack.insertion_choice import InsertionChoice
from mammogan.attack.methods import Attack, load_attack
from mammogan.attack.original_background import with_original_background
from mammogan.attack.plan import find_generator
from mammogan.data.blobs.blob_detector import breast_of
from mammogan.data.shards.reader import Sample
from mammogan.evaluation.beyond.attacked import Attacked, Kind
from mammogan.evaluation.beyond.config import budget_of
from mammogan.evaluation.beyond.originals import Originals
from mammogan.evaluation.examples import Samples
from mammogan.evaluation.victims.image_set import Pixels
from mammogan.io.terminal import say, track
from mammogan.models.networks import Critic
from mammogan.training.run.cad_source import CadSource
from mammogan.workspace import OBJECTIVES, Direction, Resolution, Workspace

MAKING = 1
"""Version of how images are made here; increase it when the same inputs give other pixels."""


@dataclass(frozen=True)
class Source:
    """One attack that can be made on the originals."""

    name: str
    kind: Kind
    made_from: dict[str, Any]
    """What decides its pixels besides the originals; empty if they are read from adversarial shards."""
    make: Callable[[Originals], Attacked]


@dataclass(frozen=True)
class Generators:
    """Trained generators of one resolution, and what they are applied with."""

    models: Workspace
    """The workspace whose runs/ hold them."""
    resolution: Resolution
    cad: CadSource
    """Which of the tries of an insertion is kept is asked of this CAD."""
    device: str
    batch: int


def title_of(objective: str) -> str:
    """Return the row title of an objective or of an attack of one's own."""
    return {"study": "GAN", "lesion": "GAN, lesion objective"}.get(objective, objective)


def generator_source(view: Workspace, resolution: Resolution) -> Source:
    """Return the attack of an objective, or of one's own, whose adversarial shards are in the workspace."""
    name = title_of(view.objective)
    return Source(name, "generator", {}, partial(_read, name, view, resolution))


def _read(name: str, view: Workspace, resolution: Resolution, originals: Originals) -> Attacked:
    folder = AdversarialFolder(view, resolution)
    made_of = {
        entry_sample["key"].removesuffix(f"-{entry['direction']}"): entry_sample["key"]
        for entry in folder.of_split("test")
        for entry_sample in entry["samples"]
    }
    read, pixels, made = Samples(folder.path), originals.pixels.copy(), np.zeros(len(originals), bool)
    for at, key in enumerate(originals.keys):
        if key in made_of:
            pixels[at], made[at] = read[made_of[key]].pixels, True
    return Attacked(name, "generator", originals, pixels, made)


def baseline_source(text: str, cad: Critic, cad_sha256: str, batch: int) -> Source:
    """Return a simple attack on the CAD; ``text`` is NAME=BUDGET."""
    short, budget = budget_of(text)
    made_from = {"making": MAKING, "baseline": text, "cad_sha256": cad_sha256}

    def attack(direction: Direction) -> Attack:
        from mammogan.attack import baselines

        known = getattr(baselines, BASELINES[short])
        own = type(known.__name__, (known,), {"settings": known.settings | {"budget": budget}})
        made: Attack = own(cad, direction)
        return made

    name = f"{short} {budget:g}"
    return Source(name, "baseline", made_from, partial(_apply, name, "baseline", attack, batch))


def wrong_way_source(view: Workspace, generators: Generators) -> Source:
    """Return the control that gives each image to the generator of the other direction.

    Raise MissingInput if a generator is not there.
    """
    other = {Direction.REMOVE: Direction.INSERT, Direction.INSERT: Direction.REMOVE}
    return _trained_source(f"{title_of(view.objective)}, wrong way", "control", other, view, generators)


def trained_source(view: Workspace, generators: Generators) -> Source:
    """Return the attack of an objective as mammogan generate applies it, for originals of any split.

    Raise MissingInput if a generator is not there.
    """
    same = {direction: direction for direction in Direction}
    return _trained_source(title_of(view.objective), "generator", same, view, generators)


def _trained_source(
    name: str, kind: Kind, by_direction: dict[Direction, Direction], view: Workspace, generators: Generators
) -> Source:
    """Return an attack that gives the images of each direction to the generator of ``by_direction``."""
    models, defaults = generators.models.of(view.objective), GenerateConfig()
    found = {d: read_checked(find_generator(models, generators.resolution, d), d) for d in Direction}
    choosing = {d: InsertionChoice.of(found[d], defaults.tries, defaults.seed, generators.cad) for d in Direction}
    used = {str(d): found[by_direction[d]].sha256 for d in Direction}
    made_from = {"making": MAKING, "generators": used, **{f"choosing_{d}": choosing[d].made_from for d in Direction}}

    def attack(direction: Direction) -> Attack:
        own = by_direction[direction]
        return load_attack(found[own], choosing[own], generators.device)

    return Source(name, kind, made_from, partial(_apply, name, kind, attack, generators.batch))


def trained_objectives(views: Sequence[Workspace]) -> list[Workspace]:
    """Return the views whose attack is a trained generator."""
    return [view for view in views if view.objective in OBJECTIVES]


def _apply(
    name: str, kind: Kind, attack_of: Callable[[Direction], Attack], batch: int, originals: Originals
) -> Attacked:
    """Make every original adversarial, with the original's air and grey grid."""
    say(f"{name}: making {len(originals)} images")
    pixels, made = originals.pixels.copy(), np.zeros(len(originals), bool)
    for at, new in track(_each(attack_of, originals, batch), len(originals), name):
        pixels[at], made[at] = new, True
    return Attacked(name, kind, originals, pixels, made)


def _each(attack_of: Callable[[Direction], Attack], originals: Originals, batch: int) -> Iterator[tuple[int, Pixels]]:
    """Yield the place of each original and its adversarial image, first of one class, then of the other."""
    for direction in Direction:
        chosen = [int(at) for at in np.flatnonzero(originals.of(direction))]
        if chosen:
            own = [originals.samples[at] for at in chosen]
            yield from zip(chosen, altered(attack_of(direction), own, batch), strict=True)


def altered(attack: Attack, samples: Sequence[Sample], batch: int) -> Iterator[Pixels]:
    """Yield the images of an attack, saved as mammogan generate saves them."""
    waiting = iter(samples)
    while several := list(islice(waiting, batch)):
        pixels = torch.from_numpy(np.stack([sample.pixels for sample in several]))[:, None]
        for real, new in zip(several, attack.alter(pixels, [sample.facts for sample in several]), strict=True):
            yield with_original_background(real.pixels, new[0].numpy(), "original")


def mismatched(attacked: Attacked) -> Attacked:
    """Return the control that adds to each image the change that the attack made for another patient's image of the
    same class, within the breast of both."""
    originals, pixels = attacked.originals, attacked.originals.pixels.copy()
    made = np.zeros(len(originals), bool)
    for at in np.flatnonzero(attacked.made):
        other = _other_patient(attacked, int(at))
        if other is None:
            continue
        change = attacked.pixels[other].astype(np.int64) - originals.pixels[other]
        new = originals.pixels[at] + np.where(breast_of(originals.pixels[at]), change, 0)
        saved = np.clip(new, 0, 65535).astype(np.uint16)
        pixels[at], made[at] = with_original_background(originals.pixels[at], saved, "original"), True
    return Attacked(f"{attacked.name}, another image's change", "control", originals, pixels, made)


def _other_patient(attacked: Attacked, at: int) -> int | None:
    """Return the next image, cyclically, of the same class and another patient that the attack changed."""
    originals = attacked.originals
    total = len(originals)
    patients = originals.patients
    for step in range(1, total):
        other = (at + step) % total
        same_class = originals.positive[other] == originals.positive[at]
        if attacked.made[other] and same_class and patients[other] != patients[at]:
            return other
    return None
