"""Adversarial training of the classifier: each batch is replaced by images that an attack has made of it.

The attack is bounded in the largest change of a pixel (Linf), changes the breast alone, and knows the dropout of the
step that follows. FGSM starts at a random point of the budget and takes one step of 1.25 budgets (Wong et al. 2020:
without the random start, a training may learn to fool FGSM alone); PGD takes three steps (Madry et al. 2018). The step
itself stays as it is, gradient penalty included.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mammogan.data.loading.to_device import onto
from mammogan.models.gradient_attacks import ascent, steepest, within
from mammogan.models.networks import Critic, tissue
from mammogan.training.batches import Batches
from mammogan.training.run.optimizer import generator_for

Method = Literal["fgsm", "pgd"]
STEPS: dict[Method, int] = {"fgsm": 1, "pgd": 3}
STEP: dict[Method, float] = {"fgsm": 1.25, "pgd": 0.5}
"""Size of a step, in budgets."""
GREY = 65535


def attacked(
    cad: Critic, positives: Tensor, negatives: Tensor, keep: Tensor, start: Tensor, method: Method, budget: float
) -> tuple[Tensor, Tensor]:
    """Return both shares of a batch, (n,1,H,W) in [0,1], after an attack on ``cad`` that is bounded by ``budget`` grey
    levels of 65535. ``start`` is the random start, (2n,1,H,W) in [-1,1], as a share of the budget."""
    pixels, limit = torch.cat([positives, negatives]).detach(), budget / GREY
    labels = (torch.arange(len(pixels), device=pixels.device) < len(positives)).long()
    mask = tissue(pixels).to(pixels.dtype)
    changed = (pixels + start.to(pixels) * limit * mask).clamp(0, 1)
    for _ in range(STEPS[method]):
        gradient, _ = ascent(lambda batch: cad(batch, keep), changed, labels, mask)
        changed = within(changed + STEP[method] * limit * steepest(gradient, "linf"), pixels, limit, "linf")
    return changed[: len(positives)], changed[len(positives) :]


def random_start(batches: Batches, size: tuple[int, int], epoch: int, batch: int) -> Tensor:
    """Return this rank's random start, (2n,1,H,W) in [-1,1]; it depends on the place in the global batch alone."""
    pairs, share, rank = batches.stream.pairs, batches.stream.share, batches.stream.rank
    draws = generator_for(batches.seed, epoch, batch, "attack")
    every = torch.rand((2, pairs, 1, *size), generator=draws) * 2 - 1
    return onto(every[:, rank * share : (rank + 1) * share].flatten(0, 1), batches.precision.device)
