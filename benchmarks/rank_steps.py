"""Measures the steps of real trainings on one rank and on several; the ranks alternate and measure themselves.

benchmarks/scaling.py starts this once for each rank.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from measuring import stand_in_for_torchvision
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

stand_in_for_torchvision()

from mammogan.config import CadConfig, ComputeConfig, GanConfig
from mammogan.models.networks import Cad, Discriminator, Gnet
from mammogan.training.cad_step import CadStep
from mammogan.training.gan_steps import DiscriminatorStep, GeneratorStep, fakes_without_graph
from mammogan.training.parallel.batch_norm import synchronise_batch_norm
from mammogan.training.parallel.ranks import Ranks, joined
from mammogan.training.run.optimizer import Precision, Stepper
from mammogan.workspace import Resolution

KINDS = ("CAD, everything", "CAD, Vnet frozen", "GAN, everything")
COMPUTE = ComputeConfig()


@dataclass
class Batch:
    """The work of a rank for one batch, and the wrapped modules whose gradients it averages."""

    run: Callable[[], None]
    modules: list[nn.Module]

    @property
    def bytes(self) -> int:
        """Number of bytes of the averaged gradients."""
        return sum(p.numel() * p.element_size() for m in self.modules for p in m.parameters() if p.requires_grad)


def batch_of(kind: str, resolution: Resolution, width: float, pairs: int, ranks: Ranks) -> Batch:
    """Return a batch of ``pairs`` pairs on this rank: forward, backward with averaged gradients, update."""
    torch.manual_seed(0)
    precision = Precision.choose("auto", ranks.device)
    pixels = torch.rand(2, pairs, 1, resolution.height, resolution.width, device=ranks.device)
    if kind.startswith("CAD"):
        return _cad_batch(precision.place(Cad(width)).train(), kind, pixels, precision, ranks)
    return _gan_batch(Discriminator(width), Gnet(width), pixels, precision, ranks)


def _cad_batch(cad: Cad, kind: str, pixels: Tensor, precision: Precision, ranks: Ranks) -> Batch:
    cad.vnet.requires_grad_(not kind.endswith("frozen"))
    step = ranks.wrap(CadStep(cad, CadConfig(compute=COMPUTE), ranks.size > 1))
    stepper = Stepper([{"params": list(cad.parameters()), "lr": 1e-5}], COMPUTE, precision, ranks)
    keep = _keep(cad.fnet, pixels)

    def run() -> None:
        with precision.autocast():
            loss = step(*pixels, keep)["loss"]
        stepper.step(loss)

    return Batch(run, [step])


def _gan_batch(critic: Any, gnet: Any, pixels: Tensor, precision: Precision, ranks: Ranks) -> Batch:
    synchronise_batch_norm(gnet, ranks)
    critic, gnet = precision.place(critic).train(), precision.place(gnet).train()
    config = GanConfig(compute=COMPUTE)
    critic_step = ranks.wrap(DiscriminatorStep(critic, config, ranks.mean, ranks.size > 1))
    gnet_step = ranks.wrap(GeneratorStep(gnet, critic, config, True, ranks.mean))
    steppers = [
        Stepper([{"params": list(n.parameters()), "lr": 1e-5}], COMPUTE, precision, ranks) for n in (critic, gnet)
    ]
    keep, (target, source) = _keep(critic.fnet, pixels), pixels

    def run() -> None:
        with precision.autocast():
            loss = critic_step(target, fakes_without_graph(gnet, source), keep)["loss"]
        steppers[0].step(loss)
        with precision.autocast():
            loss = gnet_step(source, keep[: len(source)])["loss"]
        steppers[1].step(loss)

    return Batch(run, [critic_step, gnet_step])


def _keep(fnet: Any, pixels: Tensor) -> Tensor:
    mask: Tensor = fnet.draw_keep(2 * pixels.shape[1], torch.Generator().manual_seed(1))
    return mask.to(pixels.device)


class Watch:
    """Records when each bucket of gradients was complete, and when its averages had arrived."""

    def __init__(self, modules: list[nn.Module]) -> None:
        self._spans: list[list[tuple[float, float]]] = [[] for _ in modules]
        for spans, module in zip(self._spans, modules, strict=True):
            if isinstance(module, DistributedDataParallel):
                module.register_comm_hook(spans, lambda spans, bucket: _average(spans, bucket))  # type: ignore[no-untyped-call]

    def hidden(self) -> float:
        """Return the hidden share of the averaging time since the last call.

        Averaging is hidden while other gradients are still being computed.
        """
        while_computing = whole = 0.0
        for spans in self._spans:
            last = max((complete for complete, _ in spans), default=0.0)
            while_computing += sum(min(there, last) - complete for complete, there in spans)
            whole += sum(there - complete for complete, there in spans)
            spans.clear()
        return while_computing / whole


def _average(spans: list[tuple[float, float]], bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """Average as DistributedDataParallel does, and record the times."""
    complete = time.perf_counter()
    under_way = dist.all_reduce(bucket.buffer().div_(dist.get_world_size()), async_op=True).get_future()

    def there(done: torch.futures.Future[list[Tensor]]) -> Tensor:
        spans.append((complete, time.perf_counter()))
        return done.value()[0]

    return under_way.then(there)


def measured(kind: str, resolution: Resolution, width: float, pairs: int, rounds: int) -> dict[str, list[float]] | None:
    """Return, on the first rank, the seconds of each case in each round, and the hidden share of the averaging.

    One round before them is not measured. ``pairs`` is the number per rank; in the strong case, of all ranks together.
    """
    with joined("cpu") as ranks:
        alone = batch_of(kind, resolution, width, pairs, Ranks(0, 1, ranks.device))
        weak = batch_of(kind, resolution, width, pairs, ranks)
        strong = batch_of(kind, resolution, width, pairs // ranks.size, ranks)
        watch, gradients = Watch(weak.modules), torch.zeros(weak.bytes // 4)
        cases = {
            "alone": alone.run if ranks.first else lambda: None,
            "each alone": alone.run,
            "weak": weak.run,
            "strong": strong.run,
            "averaging": lambda: dist.all_reduce(gradients),
        }
        found: dict[str, list[float]] = {name: [] for name in [*cases, "hidden"]}
        for _ in range(rounds + 1):
            for name, run in cases.items():
                found[name].append(slowest(run, ranks))
            found["hidden"].append(watch.hidden())
        return {name: values[1:] for name, values in found.items()} if ranks.first else None


def slowest(run: Callable[[], None], ranks: Ranks) -> float:
    """Return the seconds until the last rank has finished; all ranks start together."""
    ranks.wait()
    began = time.perf_counter()
    run()
    return max(ranks.gather(time.perf_counter() - began))
