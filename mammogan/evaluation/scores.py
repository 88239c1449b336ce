"""Score pairs of real and adversarial mammograms: the CAD's probabilities, and the distance between the two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any

import numpy as np
import torch

from mammogan.attack.folder import ShardPair
from mammogan.data.shards.reader import Sample
from mammogan.errors import UserError
from mammogan.evaluation.forensics.measures import ForensicPair
from mammogan.evaluation.lesion.change_measures import Insertion, RealBlob, measure_insertion, measure_real_blob
from mammogan.evaluation.phantom_truth import PhantomTruth, Removal, compare_with_truth
from mammogan.evaluation.predictions import Prediction
from mammogan.models.networks import IMAGENET_MEAN, IMAGENET_STD, Critic

Pair = tuple[Sample, Sample | None]


@dataclass(frozen=True)
class Scored:
    """The scores of one real mammogram and of its adversarial image, if it has one."""

    real: Prediction
    fake: Prediction | None
    density: str
    change: Change | None
    forensics: ForensicPair | None = None
    blob: RealBlob | None = None
    """Result of the blob detector on the real mammogram."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Scored:
        """The inverse of dataclasses.asdict; numbers survive JSON exactly."""
        fake, blob = values["fake"], values["blob"]
        return cls(
            Prediction.of_record(values["real"]),
            Prediction.of_record(fake) if fake else None,
            values["density"],
            Change.from_json(values["change"]) if values["change"] else None,
            ForensicPair.from_json(values["forensics"]) if values["forensics"] else None,
            RealBlob(**blob) if blob else None,
        )


@dataclass(frozen=True)
class Change:
    """What the attack changed. ``above`` and ``below`` are the two squared norms of Eq. 7, in normalised space."""

    above: float
    below: float
    removal: Removal | None
    """Set only for removals from phantoms with known truth."""
    insertion: Insertion | None = None
    """Set only for insertions."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Change:
        kinds: dict[str, type[Removal] | type[Insertion]] = {"removal": Removal, "insertion": Insertion}
        return cls(**values | {name: kind(**values[name]) for name, kind in kinds.items() if values[name]})


def score_pair(
    shards: ShardPair, cad: Critic, truth: PhantomTruth, resolution: str, batch: int, objective: str = "study"
) -> Iterator[Scored]:
    """Score every real mammogram of a shard, in order, with its adversarial image, on the device of ``cad``."""
    waiting = read_pairs(shards)
    while several := list(islice(waiting, batch)):
        before = probabilities(cad, [real for real, _ in several])
        after = iter(probabilities(cad, [fake for _, fake in several if fake]))
        for (real, fake), p in zip(several, before, strict=True):
            prediction = predict(fake, resolution, next(after), objective) if fake else None
            change = measure_change(real, fake, truth) if fake else None
            forensics = ForensicPair.measure(real.pixels, fake.pixels if fake else None)
            density, blob = str(real.facts.get("density") or ""), measure_real_blob(real, truth)
            yield Scored(predict(real, resolution, p, objective), prediction, density, change, forensics, blob)


def read_pairs(shards: ShardPair) -> Iterator[Pair]:
    """Yield each real mammogram of a shard with its adversarial image or None. Raise UserError if a shard is incomplete
    or the two do not match."""
    fakes: Iterable[Sample | None] = shards.fake or repeat(None, shards.real.count)
    for real, fake in zip(shards.real, fakes, strict=True):
        if shards.fake and fake and fake.facts["source_key"] != real.key:
            raise shards.fake.damaged(f"found {fake.key} where the adversarial version of {real.key} is expected")
        yield real, fake


@torch.no_grad()
def probabilities(cad: Critic, samples: list[Sample]) -> list[float]:
    """Return the CAD's probability of cancer for each sample. Raise UserError if one is not in [0,1], since then no
    figure can be trusted."""
    if not samples:
        return []
    device = next(cad.parameters()).device
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))[:, None].to(device)
    found = [float(p) for p in cad.positive_probability(pixels)]
    if wrong := [f"{s.key} ({p})" for s, p in zip(samples, found, strict=True) if not 0 <= p <= 1]:
        raise UserError(
            f"the CAD should give a probability from 0 to 1 and gives none for {', '.join(wrong)}: its weights have "
            "become infinite or are damaged. Remove its run folder and train it again, with --compute.precision fp32 "
            "if it happens again"
        )
    return found


def predict(sample: Sample, resolution: str, probability: float, objective: str = "study") -> Prediction:
    """Return one row of predictions.csv."""
    facts = sample.facts
    return Prediction(
        resolution=resolution,
        key=sample.key,
        patient=facts["patient"],
        label=facts["label"],
        probability=probability,
        kind="adversarial" if "direction" in facts else "original",
        direction=facts.get("direction", ""),
        source_key=facts.get("source_key", ""),
        split=facts["split"],
        objective=objective,
    )


def measure_change(real: Sample, fake: Sample, truth: PhantomTruth) -> Change:
    """Measure how far an adversarial image is from its original; a removal also against the truth, and an insertion's
    shape."""
    removed = fake.facts["direction"] == "remove"
    known = truth.of(real.key, real.facts) if removed else None
    mean, std = IMAGENET_MEAN[0], IMAGENET_STD[0]
    original = real.pixels / 65535
    return Change(
        above=float((((fake.pixels / 65535) - original) ** 2).sum()) / std**2,
        below=float(((original - mean) ** 2).sum()) / std**2,
        removal=compare_with_truth(real.pixels, fake.pixels, known) if known else None,
        insertion=None if removed else measure_insertion(real, fake),
    )
