"""Measures one training step of every kind: milliseconds, TFLOP/s, share of the arithmetic floor, peak memory.

Each step is measured with several methods: as the package does it, on a GPU also with torch's kernels instead of our
own, with stock autograd in the same precision and layout, without the penalty, and as published (fp32, NCHW, stock
autograd). The floor is the least arithmetic of the step at --peak-tflops.

    python benchmarks/step.py                                  on a GPU: the study's networks and both resolutions
    python benchmarks/step.py --size 192x160 --width 0.25      on a CPU: that it works
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from measuring import machine, peak_mebibytes, seconds, stand_in_for_torchvision

stand_in_for_torchvision()

from mammogan.config import CadConfig, ComputeConfig, GanConfig, PenaltyConfig
from mammogan.models.losses import on_one_rank
from mammogan.models.networks import Cad, Discriminator, Gnet
from mammogan.training.cad_step import CadStep
from mammogan.training.gan_steps import DiscriminatorStep, GeneratorStep, fakes_without_graph
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.optimizer import Precision
from mammogan.workspace import Resolution

STEPS = ("CAD, everything trained", "CAD, Vnet frozen", "D, everything trained", "D, Vnet frozen", "G")
CAD_PAIRS, GAN_PAIRS = 4, 2
SETTLING, ENOUGH_SECONDS, MOST_TIMES = 2, 1.0, 10


@dataclass(frozen=True)
class Method:
    """How a step is computed: precision, memory layout, and the penalty (fast, by autograd, or none)."""

    name: str
    precision: str
    channels_last: bool
    penalty: str = "fast"
    k: float = 10.0
    kernels: bool = True


def ways(precision: str) -> list[Method]:
    """Return the methods to compare; the package's own comes first."""
    plain = [Method("ours, torch's kernels", precision, True, kernels=False)] if torch.cuda.is_available() else []
    return [
        Method("ours", precision, True),
        *plain,
        Method("stock autograd", precision, True, "reference"),
        Method("without penalty", precision, True, k=0.0),
        Method("as published", "fp32", False, "reference"),
    ]


class Bench:
    """The networks at one resolution, and their training steps."""

    def __init__(self, resolution: Resolution, width: float, way: Method, device: torch.device) -> None:
        torch.manual_seed(0)
        self.way, self.device = way, device
        self.precision = Precision.choose(way.precision, device)
        self.cad, self.critic, self.gnet = (self._placed(kind(width)) for kind in (Cad, Discriminator, Gnet))
        compute = ComputeConfig(penalty=way.penalty, kernels=way.kernels)  # type: ignore[arg-type]
        penalty = PenaltyConfig(k=way.k)
        self.cad_config = CadConfig(width=width, penalty=penalty, compute=compute)
        self.gan_config = GanConfig(width=width, penalty=penalty, compute=compute)
        self.pixels = torch.rand(2 * CAD_PAIRS, 1, resolution.height, resolution.width, device=device)

    def _placed(self, network: nn.Module) -> nn.Module:
        network = self.precision.place(network).train()
        return network if self.way.channels_last else network.to(memory_format=torch.contiguous_format)

    def step(self, name: str) -> Callable[[], None]:
        """Return the step with this name, one of STEPS."""
        frozen = name.endswith("frozen")
        for critic in (self.cad, self.critic):
            critic.get_submodule("vnet").requires_grad_(not frozen)
        return {"C": self._cad_step, "D": self._discriminator_step, "G": self._generator_step}[name[0]]()

    def _cad_step(self) -> Callable[[], None]:
        step = CadStep(self.cad, self.cad_config)  # type: ignore[arg-type]
        positives, negatives = self.pixels.split(CAD_PAIRS)
        keep = self._keep(2 * CAD_PAIRS)
        return lambda: self._backward(lambda: step(positives, negatives, keep)["loss"], self.cad)

    def _discriminator_step(self) -> Callable[[], None]:
        step = DiscriminatorStep(self.critic, self.gan_config, on_one_rank)  # type: ignore[arg-type]
        real, source, keep = *self.pixels[: 2 * GAN_PAIRS].split(GAN_PAIRS), self._keep(2 * GAN_PAIRS)

        def loss() -> Tensor:
            return step(real, fakes_without_graph(self.gnet, source), keep)["loss"]  # type: ignore[arg-type, no-any-return]

        return lambda: self._backward(loss, self.critic)

    def _generator_step(self) -> Callable[[], None]:
        step = GeneratorStep(self.gnet, self.critic, self.gan_config, True, on_one_rank)  # type: ignore[arg-type]
        source, keep = self.pixels[:GAN_PAIRS], self._keep(GAN_PAIRS)
        return lambda: self._backward(lambda: step(source, keep)["loss"], self.gnet)

    def _backward(self, loss: Callable[[], Tensor], trained: nn.Module) -> None:
        trained.zero_grad(set_to_none=True)
        with self.precision.autocast():
            value = loss()
        value.backward()

    def _keep(self, images: int) -> Tensor:
        draw = self.critic.get_submodule("fnet").draw_keep  # type: ignore[operator]
        return draw(images, torch.Generator().manual_seed(1)).to(self.device)


def least_tflop(name: str, resolution: Resolution, width: float) -> float:
    """Return the least arithmetic of a step, in TFLOP.

    A forward pass counts 1, its gradient with respect to the input 1, and with respect to the weights 1.
    """
    with torch.device("meta"):
        critic, gnet = Discriminator(width), Gnet(width)
    pixels = torch.empty(1, 1, resolution.height, resolution.width, device="meta")
    vnet, fnet = _flops(critic, pixels, "vnet"), _flops(critic, pixels, "fnet")
    whole, g = vnet + fnet, _flops(gnet, pixels, "")
    frozen = name.endswith("frozen")
    penalised, plain = (3 * vnet + 6 * fnet, vnet + 3 * fnet) if frozen else (6 * whole, 3 * whole)
    if name.startswith("CAD"):
        return 2 * CAD_PAIRS * penalised / 1e12
    return GAN_PAIRS * (penalised + plain + g if name.startswith("D") else 3 * g + 2 * whole) / 1e12


def _flops(network: nn.Module, pixels: Tensor, part: str) -> int:
    """Return the FLOPs of the convolutions of a part of the network in one forward pass."""
    found: list[int] = []

    def count(layer: nn.Module, taken: object, given: Tensor) -> None:
        found.append(2 * given.numel() * layer.weight[0].numel())  # type: ignore[index, union-attr]

    hooks = [m.register_forward_hook(count) for m in network.get_submodule(part).modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        network.eval()(pixels)
    for hook in hooks:
        hook.remove()
    return sum(found)


def milliseconds(step: Callable[[], None], device: torch.device) -> float:
    """Return the median time of several steps, after a few that are not measured."""
    for _ in range(SETTLING):
        seconds(step, device)
    taken: list[float] = []
    while len(taken) < MOST_TIMES and (sum(taken) < ENOUGH_SECONDS or len(taken) < 2):
        taken.append(seconds(step, device))
    return statistics.median(taken) * 1e3


def rows(resolution: Resolution, width: float, precision: str, device: torch.device, peak: float) -> Iterator[str]:
    """Measure every step with every method, and yield the lines of the table."""
    for name in STEPS:
        least = least_tflop(name, resolution, width)
        ours = 0.0
        for way in ways(precision):
            if way.name != "ours" and name == "G" and way.name != "as published":
                continue  # a generator's step has no penalty
            try:
                ms, memory = _measured(resolution, width, way, device, name)
            except torch.OutOfMemoryError:
                yield f"| {resolution} | {name} | {way.name} | out of memory | | | | |"
                continue
            ours = ours or ms
            speed = f"{least / ms * 1e3:.1f} | {least / peak * 1e5 / ms:.0f} %" if way.k else " | "
            yield f"| {resolution} | {name} | {way.name} | {ms:.1f} | {speed} | {memory / 1024:.2f} | {ms / ours:.2f} |"


def _measured(
    resolution: Resolution, width: float, way: Method, device: torch.device, name: str
) -> tuple[float, float]:
    step = Bench(resolution, width, way, device).step(name)
    return milliseconds(step, device), peak_mebibytes(step, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--size", nargs="+", default=["high", "low"], help="high, low or HEIGHTxWIDTH, several if wished"
    )
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"))
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--peak-tflops", type=float, default=788.0, help="dense, of the device; 788 is an H200 in bf16")
    chosen = parser.parse_args()
    device = choose_device(chosen.device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    began = time.monotonic()
    print(f"width {chosen.width}, {chosen.precision}, floor at {chosen.peak_tflops:g} TFLOP/s, {machine(device)}\n")
    print(
        "| size | step | way | ms | TFLOP/s | of the floor's speed | GiB | times ours |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for size in chosen.size:
        for row in rows(Resolution.parse(size), chosen.width, chosen.precision, device, chosen.peak_tflops):
            print(row, flush=True)
    print(f"\n{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
