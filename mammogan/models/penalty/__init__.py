"""The gradient penalty (study, Eq. 3 and 4): GP = (k/2) mean ||g||^o, k = 10, o = 4.

g is the gradient of a scalar of the critic's output with respect to its normalised three-channel input.
"""

from __future__ import annotations

from torch import Tensor

from mammogan.models.networks import Critic
from mammogan.models.penalty import fast, reference
from mammogan.models.penalty.scalars import differentiated, penalty
from mammogan.models.penalty.way import FAST, Way

__all__ = ["Way", "differentiated", "penalty", "scores", "scores_and_powers"]


def scores(critic: Critic, pixels: Tensor, keep: Tensor | None = None, way: Way = FAST) -> Tensor:
    """Logits (N, outputs), differentiable once in the critic's weights and in ``pixels`` (N,1,H,W) in [0,1].

    The critic's own forward pass, with less kept for the backward pass when ``way`` is fast.
    """
    return critic(pixels, keep) if way.method == "reference" else fast.scores(critic, pixels, keep, way)


def scores_and_powers(
    critic: Critic,
    pixels: Tensor,
    keep: Tensor | None = None,
    of: str = "sum",
    o: float = 4.0,
    labels: Tensor | None = None,
    way: Way = FAST,
) -> tuple[Tensor, Tensor]:
    """Logits (N, outputs) and ||g||^o (N,), both differentiable, from one shared forward pass.

    ``pixels`` (N,1,H,W) in [0,1]; ``keep`` the dropout mask of both passes; ``labels`` (N,) for ``of='target'``.
    The ways agree to rounding. Add the penalty to the loss and call backward once on the total: a backward of the
    penalty alone leaves gradients unsynchronised under DistributedDataParallel.
    """
    if way.method == "reference":
        return reference.scores_and_powers(critic, pixels, keep, of, o, labels)
    return fast.scores_and_powers(critic, pixels, keep, of, o, labels, way)
