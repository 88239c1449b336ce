"""The fast gradient penalty: explicit jvp and vjp code differentiates the convolutional part of the critic."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from mammogan.models.networks import Critic
from mammogan.models.penalty.norm import differentiated, power
from mammogan.models.penalty.options import PenaltyMethod
from mammogan.models.penalty.two_stage import fnet_of, run


def scores(critic: Critic, pixels: Tensor, keep: Tensor | None, options: PenaltyMethod) -> Tensor:
    """Logits (N, outputs), differentiable in weights and pixels; see ``mammogan.models.penalty.scores``."""
    vector = run(critic, critic.normalise(pixels), options).output
    with _full_precision(vector.device.type):
        return critic.last(fnet_of(critic).head(vector, keep))


def scores_and_powers(
    critic: Critic,
    pixels: Tensor,
    keep: Tensor | None,
    of: str,
    o: float,
    labels: Tensor | None,
    options: PenaltyMethod,
) -> tuple[Tensor, Tensor]:
    """Logits (N, outputs) and ||g||^o (N,); see ``mammogan.models.penalty.scores_and_powers``.

    All curvature is in the head, which is tiny compared with the trunk. The gradient at the trunk's output is computed
    with a graph; the trunk's vjp, which is linear in it, takes it to the input.
    """
    passed = run(critic, critic.normalise(pixels).detach(), options)
    vector = passed.output if passed.output.requires_grad else passed.output.detach().requires_grad_(True)
    with _full_precision(vector.device.type):  # half precision cannot represent the penalty's values in the head
        logits = critic.last(fnet_of(critic).head(vector, keep))
        (at_vector,) = torch.autograd.grad(differentiated(logits, of, labels).sum(), vector, create_graph=True)
    return logits, power(passed.vjp(at_vector), o)


def _full_precision(kind: str) -> AbstractContextManager[Any]:
    """Switch autocast off, on devices that have it."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
