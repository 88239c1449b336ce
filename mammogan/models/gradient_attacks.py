"""Simple attacks by the gradient of a classifier, to compare the GAN with: FGSM, PGD and APGD.

All take pixels in [0,1], (N,1,H,W) float, and ascend the cross entropy of the true class. The classifier maps pixels to
logits (N,2). Only pixels in ``mask`` change. Budgets are distances in pixels of [0,1]: the largest change of a pixel
(Linf), or the norm of the whole change (L2). The results are those of the papers' algorithms, judged in the tests
against adversarial-robustness-toolbox.

FGSM: Goodfellow et al. 2015. PGD: Madry et al. 2018. APGD-CE: Croce and Hein 2020, with the cross entropy; the
difference of logits ratio of that paper needs three classes and has none here, so there is no "AutoAttack".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Logits = Callable[[Tensor], Tensor]
Norm = Literal["linf", "l2"]
MOMENTUM = 0.75
FIRST_PERIOD, PERIOD_SHRINKS, LEAST_PERIOD, RISING = 0.22, 0.03, 0.06, 0.75
"""APGD: checkpoints as shares of all steps, and the share of steps that must have raised the loss between two."""


def fgsm(logits: Logits, pixels: Tensor, labels: Tensor, budget: float, mask: Tensor | None = None) -> Tensor:
    """Return pixels moved by ``budget`` along the sign of the gradient, once."""
    gradient, _ = ascent(logits, pixels, labels, mask)
    return (pixels + budget * gradient.sign()).clamp(0, 1)


def pgd(
    logits: Logits,
    pixels: Tensor,
    labels: Tensor,
    budget: float,
    norm: Norm = "linf",
    steps: int = 10,
    step: float | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Return pixels after ``steps`` ascents, each of size ``step`` (a quarter of the budget) and projected back."""
    size = budget / 4 if step is None else step
    changed = pixels
    for _ in range(steps):
        gradient, _ = ascent(logits, changed, labels, mask)
        changed = within(changed + size * steepest(gradient, norm), pixels, budget, norm)
    return changed


def apgd(
    logits: Logits,
    pixels: Tensor,
    labels: Tensor,
    budget: float,
    norm: Norm = "linf",
    steps: int = 20,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the pixels of the highest loss on a path with momentum, whose steps are halved where it stops rising."""
    size = torch.full((len(pixels), 1, 1, 1), 2 * budget, dtype=pixels.dtype, device=pixels.device)
    gradient, loss = ascent(logits, pixels, labels, mask)
    best, best_loss, best_gradient = pixels, loss, gradient
    before, now = pixels, within(pixels + size * steepest(gradient, norm), pixels, budget, norm)
    size_then, best_then, rises = size.clone(), best_loss.clone(), torch.zeros_like(loss)
    checks = _checkpoints(steps)
    for index in range(1, steps + 1):
        gradient, new_loss = ascent(logits, now, labels, mask)
        rises += new_loss > loss
        loss = new_loss
        better = (loss > best_loss).view(-1, 1, 1, 1)
        best, best_gradient = torch.where(better, now, best), torch.where(better, gradient, best_gradient)
        best_loss = torch.maximum(loss, best_loss)
        if index in checks:
            period = index - max([check for check in checks if check < index], default=0)
            stuck = (rises < RISING * period) | ((size_then == size).flatten() & (best_then == best_loss))
            size_then, best_then, rises = size.clone(), best_loss.clone(), torch.zeros_like(loss)
            halve = stuck.view(-1, 1, 1, 1)
            size = torch.where(halve, size / 2, size)
            now, gradient = torch.where(halve, best, now), torch.where(halve, best_gradient, gradient)
        ahead = within(now + size * steepest(gradient, norm), pixels, budget, norm)
        moved = now + MOMENTUM * (ahead - now) + (1 - MOMENTUM) * (now - before)
        before, now = now, within(moved, pixels, budget, norm)
    return best


def _checkpoints(steps: int) -> list[int]:
    shares = [0.0, FIRST_PERIOD]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - PERIOD_SHRINKS, LEAST_PERIOD))
    return [math.ceil(share * steps) for share in shares[1:] if share <= 1]


def ascent(logits: Logits, pixels: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the gradient of each image's cross entropy, 0 outside the mask, and the cross entropies (N,)."""
    variable = pixels.detach().requires_grad_(True)
    losses = F.cross_entropy(logits(variable).float(), labels, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), variable)
    return gradient if mask is None else gradient * mask, losses.detach()


def steepest(gradient: Tensor, norm: Norm) -> Tensor:
    """Return the direction of steepest ascent of norm 1; 0 where the gradient is 0."""
    return gradient.sign() if norm == "linf" else gradient / _l2(gradient).clamp(min=1e-12)


def within(changed: Tensor, pixels: Tensor, budget: float, norm: Norm) -> Tensor:
    """Return the nearest pixels in [0,1] (nearly the nearest for L2) whose change is within the budget."""
    change = changed - pixels
    if norm == "linf":
        return (pixels + change.clamp(-budget, budget)).clamp(0, 1)
    return (pixels + change * (budget / _l2(change).clamp(min=1e-12)).clamp(max=1)).clamp(0, 1)


def _l2(change: Tensor) -> Tensor:
    return change.square().sum((1, 2, 3), keepdim=True).sqrt()
