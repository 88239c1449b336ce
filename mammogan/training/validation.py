"""Scores the validation split, each mammogram once by one of the ranks, and ranks generators by the scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from mammogan.data.loading.to_device import onto
from mammogan.data.shards.reader import ShardImages
from mammogan.models.losses import identity_parts
from mammogan.models.networks import CALLED_POSITIVE, Critic, at_least_float32, tissue, to_uint16, unit_pixels
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.optimizer import Precision

BATCH = 8
TRUSTED = 10
"""The mean movement counts as much as this many mammograms that the CAD classified correctly."""
CHANGE_COSTS = 10.0
"""One unit of Eq. 7 must be compensated by this much fooled rate."""
Pause = Callable[[], None]
"""Called before every batch, on all ranks equally often; it may end the training."""


def no_pause() -> None: ...


def is_due(epochs: int, every: int, is_last: bool) -> bool:
    """Whether validation follows the latest of ``epochs`` epochs of a phase: each ``every``-th, and the last one."""
    return is_last or epochs % every == 0


def own_share(images: ShardImages, ranks: Ranks, pause: Pause = no_pause) -> Iterator[Tensor]:
    """Yield batches of this rank's mammograms (every ``size``-th from ``rank`` on). All ranks pause equally often."""
    own = iter(DataLoader(Subset(images, range(ranks.rank, len(images), ranks.size)), batch_size=BATCH))
    for _ in range(-(-len(images) // (ranks.size * BATCH))):
        pause()
        yield from islice(own, 1)


@torch.no_grad()
def probabilities(
    cad: Critic, images: ShardImages, precision: Precision, ranks: Ranks, pause: Pause = no_pause
) -> list[float]:
    """Return the CAD's probability of cancer for every mammogram; the order is the same on every rank."""
    cad.eval()
    own = [torch.zeros(0, device=ranks.device)]
    for batch in own_share(images, ranks, pause):
        with precision.autocast():
            own.append(cad.positive_probability(unit_pixels(onto(batch, ranks.device)).to(precision.full)))
    return [p for part in ranks.gather(torch.cat(own).tolist()) for p in part]


def auc(positive: list[float], negative: list[float]) -> float | None:
    """Area under the ROC curve; None when a class has no mammogram or a score is NaN."""
    scores = positive + negative
    if not positive or not negative or any(p != p for p in scores):
        return None
    return float(roc_auc_score([1] * len(positive) + [0] * len(negative), scores))


def cross_entropy(positive: list[float], negative: list[float]) -> float | None:
    """Mean of -ln p of the correct class, with equal weight for both classes; None as for ``auc``."""
    if not positive or not negative or any(p != p for p in positive + negative):
        return None
    right = [np.clip(p, 1e-7, 1) for p in (np.array(positive), 1 - np.array(negative))]
    return float(-sum(np.log(p).mean() for p in right) / 2)


@dataclass(frozen=True)
class Fooled:
    """Results of a generator on validation: its fakes flip ``fooled`` of ``right`` correctly classified mammograms."""

    right: int
    fooled: int
    identity: float | None
    """Eq. 7 over all mammograms; None when there are none."""
    movement: float | None = None
    """How far the CAD's log-odds move towards the target label: mean over all mammograms, correctly classified or not.

    0 is no movement; 1 reaches or exceeds the mean log-odds of the other label. None where that mean is unknown, or
    where the CAD's means do not separate the labels.
    """

    @property
    def rate(self) -> float | None:
        """Fooled rate, or None when the CAD classified no mammogram correctly."""
        return self.fooled / self.right if self.right else None

    def facts(self) -> dict[str, Any]:
        """Return the figures for an epoch's event."""
        return {
            "validation_fooled": self.rate,
            "validation_right": self.right,
            "validation_movement": self.movement,
            "validation_identity": self.identity,
        }

    @property
    def score(self) -> float:
        """Score for choosing the best generator: (fooled + 10 movement) / (right + 10) - 10 Eq. 7.

        The fraction is the expected fooled rate if the movement is a prior estimate worth 10 mammograms: 7 fooled of 7
        that the CAD got right say little, 190 of 200 nearly all. The change costs .02 for an Eq. 7 of .002, which the
        study requires of a generator that reproduces, and a tenth of the rate for .01.
        """
        expected = (self.fooled + TRUSTED * (self.movement or 0.0)) / (self.right + TRUSTED)
        return expected - CHANGE_COSTS * (self.identity or 0.0)


@torch.no_grad()
def mean_log_odds(
    cad: Critic, images: ShardImages, precision: Precision, ranks: Ranks, pause: Pause = no_pause
) -> float | None:
    """Return the CAD's mean log-odds of positive over all mammograms; None when there are none."""
    cad.eval()
    total = torch.zeros((), dtype=torch.float64, device=ranks.device)
    for batch in own_share(images, ranks, pause):
        with precision.autocast():
            logits = cad(unit_pixels(onto(batch, ranks.device)).to(precision.full))
        total += _log_odds(at_least_float32(logits)).double().sum()
    return sum(ranks.gather(float(total))) / len(images) if len(images) else None


def _log_odds(logits: Tensor) -> Tensor:
    """Log-odds of positive (N,) from the CAD's logits (N,2)."""
    return logits[:, 1] - logits[:, 0]


@torch.no_grad()
def fooled(
    gnet: nn.Module,
    cad: Critic,
    images: ShardImages,
    source_label: int,
    precision: Precision,
    ranks: Ranks,
    pause: Pause = no_pause,
    targets_log_odds: float | None = None,
) -> Fooled:
    """Make every mammogram of ``images`` adversarial, as it would be saved, and score it with the CAD again.

    All ``images`` have one label (0 or 1). ``targets_log_odds`` is ``mean_log_odds`` of the other label, the reference
    for the movement. Air keeps the original's pixels, as ``mammogan generate`` does by default; the original's grey
    grid is not applied.
    """
    was_training = gnet.training
    gnet.eval()
    cad.eval()
    sums = torch.zeros(6, dtype=torch.float64, device=ranks.device)
    for batch in own_share(images, ranks, pause):
        real = unit_pixels(onto(batch, ranks.device)).to(precision.full)
        with precision.autocast():
            fake = torch.where(tissue(real), unit_pixels(to_uint16(gnet(real))).to(precision.full), real)
            before, after = at_least_float32(cad(real)), at_least_float32(cad(fake))
        right = (before.softmax(1)[:, 1] > CALLED_POSITIVE) == bool(source_label)
        flipped = right & ((after.softmax(1)[:, 1] > CALLED_POSITIVE) != bool(source_label))
        odds = _log_odds(before).sum(), _log_odds(after).sum()
        sums += torch.stack([right.sum(), flipped.sum(), *identity_parts(fake, real), *odds]).double()
    gnet.train(was_training)
    if not len(images):
        return Fooled(0, 0, None)
    right_all, fooled_all, above, below, odds_before, odds_after = (
        sum(part) for part in zip(*ranks.gather(sums.tolist()), strict=True)
    )
    moved = _movement(odds_before / len(images), odds_after / len(images), targets_log_odds, source_label)
    return Fooled(int(right_all), int(fooled_all), above / below if below else None, moved)


def _movement(before: float, after: float, targets: float | None, source_label: int) -> float | None:
    """``Fooled.movement`` from mean log-odds of positive: of sources before and after, and of targets."""
    towards = -1 if source_label else 1
    distance = towards * (targets - before) if targets is not None else 0.0
    return min(max(towards * (after - before) / distance, 0.0), 1.0) if distance > 0 else None
