"""The gradient penalty with the convolutional part of the critic differentiated by hand."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from mammogan.models.networks import Critic
from mammogan.models.penalty.scalars import differentiated, power
from mammogan.models.penalty.stretches import run
from mammogan.models.penalty.way import Way


def scores(critic: Critic, pixels: Tensor, keep: Tensor | None, way: Way) -> Tensor:
    """Logits (N, outputs), differentiable in weights and pixels; see ``mammogan.models.penalty.scores``."""
    vector = run(critic, critic.normalise(pixels), way).output
    with _full_precision(vector.device.type):
        return critic.last(critic.fnet.head(vector, keep))


def scores_and_powers(
    critic: Critic, pixels: Tensor, keep: Tensor | None, of: str, o: float, labels: Tensor | None, way: Way
) -> tuple[Tensor, Tensor]:
    """Logits (N, outputs) and ||g||^o (N,); see ``mammogan.models.penalty.scores_and_powers``.

    All curvature sits in the head, tiny beside the trunk: its gradient at the trunk's output is taken with a graph, and
    pulled back to the input by a map that is linear in it.
    """
    passed = run(critic, critic.normalise(pixels).detach(), way)
    vector = passed.output if passed.output.requires_grad else passed.output.detach().requires_grad_(True)
    with _full_precision(vector.device.type):  # what the penalty sends through the head fits no half
        logits = critic.last(critic.fnet.head(vector, keep))
        (at_vector,) = torch.autograd.grad(differentiated(logits, of, labels).sum(), vector, create_graph=True)
    return logits, power(passed.pull(at_vector), o)


def _full_precision(kind: str) -> AbstractContextManager[Any]:
    """Without autocast, on devices that know it."""
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()
