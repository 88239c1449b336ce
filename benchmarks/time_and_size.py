"""Memory of each training step and time of each phase at the study's width, computed by count; nothing runs.

Memory: the peak of live tensors of one step on top of the weights, counted on meta tensors with torch's kernels. Time:
the FLOPs of a batch at --share of --peak-tflops, and --fixed-ms for each step. The study gives no number of training
images, so --positives and --negatives are eight times those of its test split, which is a tenth of the patients.

    python benchmarks/time_and_size.py                                      the tables of docs/time_and_size.md
    python benchmarks/time_and_size.py --negatives 20000 --peak-tflops 989  your own cohort and GPU
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch
from counted import Flops, Networks, phases
from counting import count

from mammogan.config import CadConfig, ComputeConfig, GanConfig
from mammogan.models.losses import on_one_rank
from mammogan.training.cad_step import CadStep
from mammogan.training.gan_steps import DiscriminatorStep, GeneratorStep, fakes_without_graph
from mammogan.workspace import HIGH, LOW, Resolution

CAD, GAN = CadConfig(), GanConfig()
STEPS = ("CAD, Vnet frozen", "CAD, everything", "discriminator, Vnet frozen", "discriminator, everything", "generator")
TEST_POSITIVES, TEST_NEGATIVES, TESTS = 74, 364, 8
"""Images of the study's test split, and how many times as many the training split has."""


@dataclass(frozen=True)
class Epochs:
    """A phase of the schedule: the name of its batch, how many epochs it has at most, and its pairs a batch."""

    phase: str
    batch: str
    most: int
    pairs: int


SCHEDULE = (
    Epochs("CAD, Vnet frozen", "CAD, Vnet frozen", CAD.fnet_epochs, CAD.pairs),
    Epochs("CAD, everything", "CAD, everything", CAD.epochs - CAD.fnet_epochs, CAD.pairs),
    *(
        Epochs(f"GAN, {name}", batch, most, GAN.pairs)
        for name, batch, most in zip(
            ("warm-gnet", "warm-dnet", "last-layer", "head", "all"),
            ("identity", "critic alone", "GAN, last layer", "GAN, head", "GAN, everything"),
            GAN.epochs,
            strict=True,
        )
    ),
)


def peak_gib(name: str, resolution: Resolution, dtype: torch.dtype, recompute: bool = False) -> float:
    """Peak of live memory of one step at the study's pairs, on top of the weights."""
    networks = Networks(resolution)
    for network in (networks.cad, networks.critic, networks.gnet):
        network.to(dtype)
    return count(_step(name, networks, ComputeConfig(kernels=False, recompute=recompute), dtype)).peak / 2**30


def _step(name: str, networks: Networks, compute: ComputeConfig, dtype: torch.dtype) -> Callable[[], None]:
    pairs = CAD.pairs if name.startswith("CAD") else GAN.pairs
    shape = (pairs, *networks.pixels.shape[1:])
    pixels = torch.empty(shape, device="meta", dtype=dtype)
    keep = torch.ones(2 * pairs, networks.cad.fnet.hidden, dtype=torch.bool, device="meta")
    for critic in (networks.cad, networks.critic):
        critic.vnet.requires_grad_("frozen" not in name)
    gan = GanConfig(compute=compute)
    if name.startswith("CAD"):
        cad = CadStep(networks.cad, CadConfig(compute=compute))
        return lambda: cad(pixels, pixels, keep)["loss"].backward()
    if name == "generator":
        generator = GeneratorStep(networks.gnet, networks.critic, gan, True, on_one_rank)
        return lambda: generator(pixels, keep[:pairs])["loss"].backward()
    discriminator = DiscriminatorStep(networks.critic, gan, on_one_rank)
    return lambda: discriminator(pixels, fakes_without_graph(networks.gnet, pixels), keep)["loss"].backward()


def memory_rows() -> Iterator[str]:
    yield "| step | size | float32 | bf16 | bf16, recomputed |"
    yield "|---|---|---|---|---|"
    for resolution in (HIGH, LOW):
        for name in STEPS:
            peaks = [peak_gib(name, resolution, torch.float32), peak_gib(name, resolution, torch.bfloat16)]
            peaks.append(peak_gib(name, resolution, torch.bfloat16, recompute=True))
            yield f"| {name} | {resolution} | " + " | ".join(f"{peak:.1f}" for peak in peaks) + " |"


def batch_flops(resolution: Resolution) -> dict[str, list[tuple[float, float]]]:
    """How often each kind of batch takes each of its steps, and the step's FLOPs for one pair."""
    found = {name: [(often, step.flops) for _, often, step in steps] for name, steps in phases(resolution).items()}
    networks = Networks(resolution)
    step = GeneratorStep(networks.gnet, networks.critic, GAN, False, on_one_rank)
    with Flops() as flops:
        step(networks.pixels, networks.keep[:1])["loss"].backward()
    return {**found, "identity": [(1, flops.total)], "critic alone": found["GAN, last layer"][:1]}


def time_rows(chosen: argparse.Namespace) -> Iterator[str]:
    peaks = [f"{peak:g} TFLOP/s" for peak in chosen.peak_tflops]
    per_gpu = [f"ms a batch, {peak} | hours, {peak}" for peak in peaks]
    yield f"| phase | size | batches an epoch | epochs, at most | {' | '.join(per_gpu)} |"
    yield "|---" * (4 + 2 * len(peaks)) + "|"
    for resolution in (HIGH, LOW):
        flops = batch_flops(resolution)
        for epochs in SCHEDULE:
            batches = max(chosen.positives, chosen.negatives) // epochs.pairs
            cells: list[str] = []
            for peak in chosen.peak_tflops:
                speed = peak * 1e12 * chosen.share
                ms = sum(n * (step * epochs.pairs / speed * 1e3 + chosen.fixed_ms) for n, step in flops[epochs.batch])
                cells.append(f"{ms:.0f} | {ms * batches * epochs.most / 3.6e6:.1f}")
            yield f"| {epochs.phase} | {resolution} | {batches} | {epochs.most} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--positives", type=int, default=TESTS * TEST_POSITIVES)
    parser.add_argument("--negatives", type=int, default=TESTS * TEST_NEGATIVES)
    parser.add_argument("--peak-tflops", type=float, nargs="+", default=[788.0, 312.0], help="an H200, an A100 in bf16")
    parser.add_argument("--share", type=float, default=0.4, help="of the peak that a step reaches")
    parser.add_argument("--fixed-ms", type=float, default=2.0, help="of a step, whatever its arithmetic")
    chosen = parser.parse_args()
    print("GiB at the peak of a step, computed\n")
    for row in memory_rows():
        print(row, flush=True)
    print("\nTime on one GPU, computed\n")
    for row in time_rows(chosen):
        print(row, flush=True)


if __name__ == "__main__":
    main()
