"""Counts on meta tensors what a batch of each phase computes, and when it sends which gradients.

Meta tensors have no values, so nothing is really computed. The counts are exact and the same on every machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from measuring import stand_in_for_torchvision

stand_in_for_torchvision()

from mammogan.config import CadConfig, ComputeConfig, GanConfig
from mammogan.models.networks import Cad, Discriminator, Gnet
from mammogan.training.cad_step import CadStep
from mammogan.training.gan_steps import DiscriminatorStep, GeneratorStep, fakes_without_graph
from mammogan.training.phases import Part
from mammogan.workspace import Resolution

COMPUTE = ComputeConfig(kernels=False)
"""Without our fused kernels, because their FLOPs cannot be counted; the arithmetic is the same."""


@dataclass(frozen=True)
class Ready:
    """The size of a gradient, and how many FLOPs of the step remain when it is complete."""

    bytes: int
    flops_left: float


@dataclass
class Counted:
    """One step: its FLOPs, its gradients in the order in which they are sent, and the other exchanges of the ranks."""

    flops: float
    gradients: list[Ready] = field(default_factory=list)
    exchanges: int = 0
    """Number of small exchanges that the device waits for: batch norms, and means over the global batch."""

    @property
    def bytes(self) -> int:
        return sum(gradient.bytes for gradient in self.gradients)

    def of_pairs(self, factor: float) -> Counted:
        """Return the same step with ``factor`` times the mammograms; the gradients keep their size."""
        later = [replace(gradient, flops_left=gradient.flops_left * factor) for gradient in self.gradients]
        return Counted(self.flops * factor, later, self.exchanges)


class Flops(TorchDispatchMode):
    """Counts the FLOPs of convolutions and matrix products."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


class Networks:
    """The study's networks without values, and the counts of their steps for one pair."""

    def __init__(self, resolution: Resolution, width: float = 1.0) -> None:
        with torch.device("meta"):
            self.cad, self.critic, self.gnet = Cad(width).train(), Discriminator(width).train(), Gnet(width).train()
            self.pixels = torch.empty(1, 1, resolution.height, resolution.width)
            self.keep = torch.ones(2, self.cad.fnet.hidden, dtype=torch.bool)
        self.means = 0

    def cad_step(self, frozen: bool) -> Counted:
        """Count the CAD's step, with Vnet ``frozen`` or trained."""
        self.cad.requires_grad_(True)
        self.cad.vnet.requires_grad_(not frozen)
        step = CadStep(self.cad, CadConfig(compute=COMPUTE), averaged=True)
        return self._counted(lambda: step(self.pixels, self.pixels, self.keep), self.cad)

    def discriminator_step(self, parts: tuple[Part, ...]) -> Counted:
        """Count the discriminator's step, including Gnet's pass that makes its fakes (without a graph)."""
        for name in ("last", "fnet", "vnet"):
            self.critic.get_submodule(name).requires_grad_(name in parts)
        step = DiscriminatorStep(self.critic, GanConfig(compute=COMPUTE), self._mean, averaged=True)
        counted = self._counted(
            lambda: step(self.pixels, fakes_without_graph(self.gnet, self.pixels), self.keep), self.critic
        )
        counted.exchanges += self._norms()
        return counted

    def generator_step(self) -> Counted:
        """Count the generator's step."""
        step = GeneratorStep(self.gnet, self.critic, GanConfig(compute=COMPUTE), True, self._mean)
        counted = self._counted(lambda: step(self.pixels, self.keep[:1]), self.gnet)
        counted.exchanges += 2 * self._norms()
        return counted

    def _norms(self) -> int:
        """Return the number of exchanges in a pass through Gnet: one for each batch norm."""
        return sum(isinstance(layer, nn.BatchNorm2d) for layer in self.gnet.modules())

    def _mean(self, value: Tensor) -> Tensor:
        self.means += 1
        return value

    def _counted(self, losses: Callable[[], dict[str, Tensor]], network: nn.Module) -> Counted:
        self.means = 0
        network.zero_grad(set_to_none=True)
        with Flops() as flops, _ready(network, flops) as ready:
            losses()["loss"].backward()
        return Counted(flops.total, [Ready(size, flops.total - at) for size, at in ready], self.means)


@contextmanager
def _ready(network: nn.Module, flops: Flops) -> Iterator[list[tuple[int, float]]]:
    """Record, inside this block, the bytes of each gradient when it becomes complete, and the FLOPs until then."""
    found: list[tuple[int, float]] = []

    def note(weight: Tensor) -> None:
        found.append((weight.numel() * weight.element_size(), flops.total))

    trained = [weight for weight in network.parameters() if weight.requires_grad]
    hooks = [weight.register_post_accumulate_grad_hook(note) for weight in trained]
    yield found
    for hook in hooks:
        hook.remove()


def phases(resolution: Resolution, width: float = 1.0) -> dict[str, list[tuple[str, float, Counted]]]:
    """Return the steps of a batch in each long phase of the study.

    Of each step: its name as in benchmarks/step.py, how often a batch takes it, and the counts for one pair.
    """
    networks, every = Networks(resolution, width), GanConfig().gnet_every
    generator = ("G", 1 / every, networks.generator_step())
    last = networks.discriminator_step(("last",))
    head = networks.discriminator_step(("last", "fnet"))
    whole = networks.discriminator_step(("last", "fnet", "vnet"))
    return {
        "CAD, Vnet frozen": [("CAD, Vnet frozen", 1, networks.cad_step(frozen=True))],
        "CAD, everything": [("CAD, everything trained", 1, networks.cad_step(frozen=False))],
        "GAN, last layer": [("D, Vnet frozen", 1, last), generator],
        "GAN, head": [("D, Vnet frozen", 1, head), generator],
        "GAN, everything": [("D, everything trained", 1, whole), generator],
    }
