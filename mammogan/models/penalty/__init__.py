"""The gradient penalty (study, Eq. 3 and 4), and when plain autograd computes it in place of the fast method.

GP = (k/2) mean ||g||^o, k = 10, o = 4. g is the gradient of a scalar of the critic's output with respect to its
normalised three-channel input.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from mammogan.config import ComputeConfig
from mammogan.errors import UserError
from mammogan.models.networks import Critic
from mammogan.models.penalty import fast, reference
from mammogan.models.penalty.norm import differentiated, penalty
from mammogan.models.penalty.options import FAST, PenaltyMethod
from mammogan.models.penalty.two_stage import supports

__all__ = ["PenaltyMethod", "differentiated", "method_for", "penalty", "scores", "scores_and_powers"]


def method_for(critic: Critic, compute: ComputeConfig, staged: bool = False) -> PenaltyMethod:
    """Choose how a critic's penalty is computed: as requested, or by plain autograd if the fast path cannot take it.

    The fast path knows the layers of Vnet and Fnet, and any body that is a chain of the same kinds of layers. Raises
    UserError if less memory is requested, which plain autograd cannot give.
    """
    requested = PenaltyMethod.of(compute, staged)
    chosen = requested if supports(critic) else replace(requested, method="reference")
    if chosen.method == "reference" and chosen.recompute:
        raise UserError(
            "--compute.recompute saves memory with the fast gradient penalty only, and plain autograd computes the "
            f"penalty here ({type(critic).__name__}, --compute.penalty {compute.penalty}): leave it out, and use "
            "smaller batches (--pairs) or more ranks"
        )
    return chosen


def scores(critic: Critic, pixels: Tensor, keep: Tensor | None = None, options: PenaltyMethod = FAST) -> Tensor:
    """Compute logits (N, outputs), differentiable once in the critic's weights and in ``pixels`` (N,1,H,W) in [0,1].

    This is the critic's own forward pass; when ``options.method`` is fast, less memory is kept for the backward pass.
    """
    return critic(pixels, keep) if options.method == "reference" else fast.scores(critic, pixels, keep, options)


def scores_and_powers(
    critic: Critic,
    pixels: Tensor,
    keep: Tensor | None = None,
    of: str = "sum",
    o: float = 4.0,
    labels: Tensor | None = None,
    options: PenaltyMethod = FAST,
) -> tuple[Tensor, Tensor]:
    """Compute logits (N, outputs) and ||g||^o (N,), both differentiable, from one shared forward pass.

    ``pixels`` are (N,1,H,W) in [0,1], ``keep`` is the dropout mask of both passes, ``labels`` (N,) are needed for
    ``of='target'``. Both methods agree up to rounding. Add the penalty to the loss and call backward once on the total:
    under DistributedDataParallel, a backward of the penalty alone leaves gradients unsynchronised.
    """
    if options.method == "reference":
        return reference.scores_and_powers(critic, pixels, keep, of, o, labels)
    return fast.scores_and_powers(critic, pixels, keep, of, o, labels, options)
