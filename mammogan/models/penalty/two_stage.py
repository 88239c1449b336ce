"""Says which critics the fast penalty can differentiate, and passes a batch through one in one stage or in two.

In one stage all weight gradients are complete when the last pass ends, so several ranks can only average Fnet's after
it. In two stages Fnet's are complete, and are already being averaged, while that pass continues down through Vnet.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mammogan.errors import UserError
from mammogan.models.networks import Critic, Fnet
from mammogan.models.penalty.autograd import Pass
from mammogan.models.penalty.options import PenaltyMethod
from mammogan.models.penalty.trunk import Trunk


class StagedPass:
    """One pass through a critic's trunks, one after the other; ``output`` and ``vjp`` are those of a single pass."""

    def __init__(self, trunks: Sequence[Trunk], value: Tensor, options: PenaltyMethod) -> None:
        self.passes: list[Pass] = []
        for trunk in trunks:
            together = self.passes[0].images_together if self.passes else None
            self.passes.append(trunk.run(value, options, together=together))
            value = self.passes[-1].output
        self.output = value

    def vjp(self, cotangent: Tensor) -> Tensor:
        """Apply the vjp J^T to a cotangent: (N, outputs) -> the input's shape, in at least float32."""
        for one in reversed(self.passes):
            cotangent = one.vjp(cotangent)
        return cotangent


def fnet_of(critic: Critic) -> Fnet:
    """Return the neck of a critic that the fast path supports."""
    if not isinstance(critic.fnet, Fnet):
        raise TypeError(f"the fast gradient penalty needs Fnet as neck, not {type(critic.fnet).__name__}")
    return critic.fnet


def supports(critic: Critic) -> bool:
    """Whether a critic's body and neck are made of layers that are differentiated by hand."""
    overridden = type(critic).score is not Critic.score or type(critic).forward is not Critic.forward
    if overridden or type(critic.fnet) is not Fnet:
        return False
    try:
        Trunk(critic.vnet, critic.fnet.convs)
    except UserError:
        return False
    return True


def run(critic: Critic, value: Tensor, options: PenaltyMethod) -> StagedPass:
    """Run one forward pass over normalised (N,3,H,W). A frozen Vnet gains nothing from two stages, so one is used."""
    vnet, convs = critic.vnet, fnet_of(critic).convs
    two = options.staged and any(weight.requires_grad for weight in vnet.parameters())
    trunks = [Trunk(vnet, closed=False), Trunk(convs)] if two else [Trunk(vnet, convs)]
    return StagedPass(trunks, value, options)
