"""Square Attack (Andriushchenko et al. 2020): random squares that only need a classifier's scores, not its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Scores = Callable[[Tensor], Tensor]
"""Pixels (N,1,H,W) in [0,1] -> probability of cancer (N,)."""
FIRST_SHARE = 0.8
"""Share of the image that the first square has; it shrinks on the paper's schedule."""
HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Of 10,000 queries, those at which the share of the image is halved."""


@torch.no_grad()
def square_attack(
    scores: Scores,
    pixels: Tensor,
    away_from: float,
    budget: float,
    queries: int,
    seeds: Sequence[int],
    mask: Tensor | None = None,
) -> Tensor:
    """Return pixels, (N,1,H,W) in [0,1], whose score lies as far from ``away_from`` (0 or 1) as the queries found.

    Every change is +budget or -budget: first in vertical stripes, then in squares. A square that does not help is taken
    back. ``seeds``, one an image, decide the squares, so that an image's result does not depend on its batch.
    """
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]
    shape = pixels.shape[2:]
    change = torch.stack([_signs((1, 1, shape[1]), draw).expand(1, *shape) for draw in draws]).to(pixels) * budget
    change = change if mask is None else change * mask
    best = (pixels + change).clamp(0, 1)
    reached = (scores(best) - away_from).abs()
    for query in range(1, queries):
        side = max(1, round(math.sqrt(_share(query, queries) * shape[0] * shape[1])))
        tried = torch.stack(
            [_with_square(one, min(side, *shape), budget, draw) for one, draw in zip(change, draws, strict=True)]
        )
        tried = tried if mask is None else tried * mask
        candidate = (pixels + tried).clamp(0, 1)
        distance = (scores(candidate) - away_from).abs()
        better = distance > reached
        change = torch.where(better.view(-1, 1, 1, 1), tried, change)
        best = torch.where(better.view(-1, 1, 1, 1), candidate, best)
        reached = torch.maximum(distance, reached)
    return best


def _share(query: int, queries: int) -> float:
    of_ten_thousand = query * 10_000 / queries
    return FIRST_SHARE / 2 ** sum(of_ten_thousand > halving for halving in HALVINGS)


def _with_square(change: Tensor, side: int, budget: float, draw: torch.Generator) -> Tensor:
    height, width = change.shape[1:]
    top = int(torch.randint(height - side + 1, (), generator=draw))
    left = int(torch.randint(width - side + 1, (), generator=draw))
    tried = change.clone()
    tried[:, top : top + side, left : left + side] = _signs((1, 1, 1), draw).to(change) * budget
    return tried


def _signs(shape: tuple[int, ...], draw: torch.Generator) -> Tensor:
    return torch.randint(0, 2, shape, generator=draw).float() * 2 - 1
