"""A critic's trunk in one stretch, or in two whose weight gradients are complete one after the other.

In one stretch all of them come out together, when the last pass ends. Over several ranks those of Fnet can then be
averaged only after it; in two they are complete, and on their way, while that pass goes on down through Vnet.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mammogan.models.networks import Critic
from mammogan.models.penalty.passes import Pass
from mammogan.models.penalty.trunk import Trunk
from mammogan.models.penalty.way import Way


class Stretches:
    """One pass through the trunks of a critic, one after the other; output and pull are those of a single pass."""

    def __init__(self, trunks: Sequence[Trunk], value: Tensor, way: Way) -> None:
        self.passes: list[Pass] = []
        for trunk in trunks:
            together = self.passes[0].images_together if self.passes else None
            self.passes.append(trunk.run(value, way, together=together))
            value = self.passes[-1].output
        self.output = value

    def pull(self, cotangent: Tensor) -> Tensor:
        """J^T cotangent: (N, outputs) -> the input's shape, in at least float32."""
        for one in reversed(self.passes):
            cotangent = one.pull(cotangent)
        return cotangent


def run(critic: Critic, value: Tensor, way: Way) -> Stretches:
    """One forward pass over normalised (N,3,H,W). Where Vnet is frozen there is nothing to gain by two stretches."""
    vnet, convs = critic.vnet, critic.fnet.convs
    two = way.in_stretches and any(weight.requires_grad for weight in vnet.parameters())
    trunks = [Trunk(vnet, closed=False), Trunk(convs)] if two else [Trunk(vnet, convs)]
    return Stretches(trunks, value, way)
