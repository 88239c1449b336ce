"""Scores on the validation split, each mammogram exactly once, divided over the ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from mammogan.data.stream import ShardImages
from mammogan.data.transfer import onto
from mammogan.models.losses import identity_parts
from mammogan.models.networks import Cad, Gnet, tissue, to_uint16, unit_pixels
from mammogan.training.distributed import Ranks
from mammogan.training.optimisation import Precision

BATCH = 8
Pause = Callable[[], None]
"""What is called before every batch, on all ranks equally often; it may end the training."""


def no_pause() -> None: ...


def own_share(images: ShardImages, ranks: Ranks, pause: Pause = no_pause) -> Iterator[Tensor]:
    """Batches of this rank's mammograms: every ``size``-th from ``rank`` on. All ranks pause equally often."""
    own = iter(DataLoader(Subset(images, range(ranks.rank, len(images), ranks.size)), batch_size=BATCH))
    for _ in range(-(-len(images) // (ranks.size * BATCH))):
        pause()
        yield from islice(own, 1)


@torch.no_grad()
def probabilities(
    cad: Cad, images: ShardImages, precision: Precision, ranks: Ranks, pause: Pause = no_pause
) -> list[float]:
    """The CAD's probability of positive for every mammogram; the order is the same on every rank."""
    cad.eval()
    own = [torch.zeros(0, device=ranks.device)]
    for batch in own_share(images, ranks, pause):
        with precision.autocast():
            own.append(cad.positive_probability(unit_pixels(onto(batch, ranks.device)).to(precision.full)))
    return [p for part in ranks.gather(torch.cat(own).tolist()) for p in part]


def auc(positive: list[float], negative: list[float]) -> float | None:
    """Area under the ROC curve, or None when a class has no mammogram or a probability is not a number."""
    scores = positive + negative
    if not positive or not negative or any(p != p for p in scores):
        return None
    return float(roc_auc_score([1] * len(positive) + [0] * len(negative), scores))


@dataclass(frozen=True)
class Fooled:
    """How a generator fares on validation: of ``right`` mammograms that the CAD got right, ``fooled`` fakes flip it."""

    right: int
    fooled: int
    identity: float | None
    """Eq. 7 over all of them; None when there are none."""

    @property
    def rate(self) -> float | None:
        return self.fooled / self.right if self.right else None


@torch.no_grad()
def fooled(
    gnet: Gnet,
    cad: Cad,
    images: ShardImages,
    source_label: int,
    precision: Precision,
    ranks: Ranks,
    pause: Pause = no_pause,
) -> Fooled:
    """Alter every mammogram of ``images`` (all of one label, 0 or 1) as it would be saved, and ask the CAD again.

    The air stays the original's, as generate.py has it by default; the source's grey grid is left out.
    """
    was_training = gnet.training
    gnet.eval()
    cad.eval()
    sums = torch.zeros(4, dtype=torch.float64, device=ranks.device)
    for batch in own_share(images, ranks, pause):
        real = unit_pixels(onto(batch, ranks.device)).to(precision.full)
        with precision.autocast():
            fake = torch.where(tissue(real), unit_pixels(to_uint16(gnet(real))).to(precision.full), real)
            before, after = cad.positive_probability(real), cad.positive_probability(fake)
        right = (before > 0.5) == bool(source_label)
        flipped = right & ((after > 0.5) != bool(source_label))
        sums += torch.stack([right.sum(), flipped.sum(), *identity_parts(fake, real)]).double()
    gnet.train(was_training)
    right_all, fooled_all, above, below = (sum(part) for part in zip(*ranks.gather(sums.tolist()), strict=True))
    return Fooled(int(right_all), int(fooled_all), above / below if below else None)
