"""Measures time and memory of the gradient penalty, with automatic differentiation and with the fast method.

The methods alternate, so a busy machine slows all of them; the ratio is printed with its range over the rounds. Memory
is what a step needs in addition to the network: on the CPU the growth of a new process, on CUDA the allocator's peak.

    python benchmarks/penalty.py                      the study's networks, small images, on this machine
    python benchmarks/penalty.py --size 1728x1408 --images 8 --precision bf16
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from measuring import machine, peak_mebibytes, seconds, stand_in_for_torchvision

stand_in_for_torchvision()

from mammogan.models.losses import focal
from mammogan.models.networks import Cad
from mammogan.models.penalty import PenaltyMethod, penalty, scores_and_powers
from mammogan.training.parallel.ranks import choose_device
from mammogan.training.run.optimizer import Precision
from mammogan.workspace import Resolution

WAYS = {"reference": PenaltyMethod("reference"), "fast": PenaltyMethod(), "recompute": PenaltyMethod(recompute=True)}
if torch.cuda.is_available():
    torch.backends.cudnn.benchmark = True
    WAYS["without own kernels"] = PenaltyMethod(kernels=False)


@dataclass(frozen=True)
class Case:
    """A step to measure: number and size of the images, width of the network, Vnet frozen or not."""

    size: str
    images: int
    width: float
    precision: str
    device: str
    frozen: bool


def step_of(case: Case) -> Callable[[str], Callable[[], None]]:
    """Return, for each method, one training step of the CAD: forward, penalty on all images, one backward."""
    torch.manual_seed(0)
    resolution, device = Resolution.parse(case.size), torch.device(case.device)
    precision = Precision.choose(case.precision, device)
    cad = precision.place(Cad(case.width)).train()
    cad.vnet.requires_grad_(not case.frozen)
    pixels = torch.rand(case.images, 1, resolution.height, resolution.width, device=device)
    keep = cad.fnet.draw_keep(case.images, torch.Generator().manual_seed(1)).to(device)

    def in_way(way: str) -> Callable[[], None]:
        def step() -> None:
            cad.zero_grad(set_to_none=True)
            with precision.autocast():
                logits, powers = scores_and_powers(cad, pixels, keep, options=WAYS[way])
                loss = focal(logits, 1) + penalty(powers)
            loss.backward()

        return step

    return in_way


def times(case: Case, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each method in each round, after one round that is not measured."""
    in_way, device = step_of(case), torch.device(case.device)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds + 1):
        for way in WAYS:
            taken = seconds(in_way(way), device)
            if number:
                found[way].append(taken)
    return found


def memory(case: Case, way: str) -> float:
    """Return the peak memory of a new process, in MiB, as this file prints it there."""
    words = [f"--{n}={getattr(case, n)}" for n in ("size", "images", "width", "precision", "device")]
    command = [sys.executable, __file__, *words, f"--memory-of={way}", f"--frozen={int(case.frozen)}"]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def report(case: Case, rounds: int) -> None:
    """Measure all methods, and print a line of the table for each."""
    found = times(case, rounds)
    needed = {way: memory(case, way) for way in WAYS}
    for way in WAYS:
        ratios = [slow / quick for slow, quick in zip(found["reference"], found[way], strict=True)]
        print(
            f"| {'Vnet frozen' if case.frozen else 'everything trained'} | {way} | {min(found[way]) * 1e3:.0f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) "
            f"| {needed[way]:.0f} | {needed[way] / needed['reference']:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="512x416", help="HEIGHTxWIDTH of the images")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"))
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--frozen", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    device = choose_device(chosen.device)
    settings = (chosen.size, chosen.images, chosen.width, chosen.precision, device.type)
    if chosen.memory_of:
        print(peak_mebibytes(step_of(Case(*settings, bool(chosen.frozen)))(chosen.memory_of), device))
        return
    print(f"{chosen.images} images of {chosen.size}, width {chosen.width}, {chosen.precision}, {machine(device)}")
    print("\n| step | way | ms | times faster (range) | MiB | of reference |")
    print("|---|---|---|---|---|---|")
    for frozen in (True, False):
        report(Case(*settings, frozen), chosen.rounds)


if __name__ == "__main__":
    main()
