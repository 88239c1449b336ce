"""Time and memory of the gradient penalty, by automatic differentiation and by the fast path, in one run.

The two methods take turns, so that a busy machine slows both; the ratio is given with its spread over the rounds.
Memory is what a step needs on top of the network: on CPU the growth of a fresh process, on CUDA the allocator's peak.

    python benchmarks/penalty.py                      the study's networks, small images, on this machine
    python benchmarks/penalty.py --size 1728x1408 --images 4 --precision bf16
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

METHODS = ("reference", "fast")


@dataclass(frozen=True)
class Case:
    """A step to measure: images at a size through a network of a width, Vnet frozen or not."""

    size: str
    images: int
    width: float
    precision: str
    device: str
    frozen: bool


class Step:
    """One training step of the CAD: forward, penalty on all images, one backward."""

    def __init__(self, case: Case) -> None:
        import torch

        from mammogan.config import Resolution
        from mammogan.models.networks import Cad
        from mammogan.training.optimisation import Precision

        torch.manual_seed(0)
        resolution = Resolution.parse(case.size)
        device = torch.device(case.device)
        self.precision = Precision.choose(case.precision, device)
        self.cad = self.precision.place(Cad(case.width)).train()
        self.cad.vnet.requires_grad_(not case.frozen)
        self.pixels = torch.rand(case.images, 1, resolution.height, resolution.width, device=device)
        self.keep = self.cad.fnet.draw_keep(case.images, torch.Generator().manual_seed(1)).to(device)
        self.device = device

    def __call__(self, method: str) -> float:
        """Seconds of one step."""
        import torch

        from mammogan.models.losses import focal
        from mammogan.models.penalty import Way, penalty, scores_and_powers

        self.cad.zero_grad(set_to_none=True)
        self._wait()
        began = time.perf_counter()
        with torch.autocast(self.device.type, self.precision.half, enabled=self.precision.half is not None):
            logits, powers = scores_and_powers(self.cad, self.pixels, self.keep, way=Way(method))
            loss = focal(logits, 1) + penalty(powers)
        loss.backward()
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize()


def times(case: Case, rounds: int) -> dict[str, list[float]]:
    """Seconds of each method in each round, after one unmeasured round."""
    step = Step(case)
    found: dict[str, list[float]] = {method: [] for method in METHODS}
    for number in range(rounds + 1):
        for method in METHODS:
            seconds = step(method)
            if number:
                found[method].append(seconds)
    return found


def peak_mebibytes(case: Case, method: str) -> float:
    """Memory of one step on top of the network, gradients included, measured in this process: let it be a fresh one."""
    import torch

    step = Step(case)
    if case.device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step(method)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is resident now
    before = _peak_resident_kibibytes()
    step(method)
    return (_peak_resident_kibibytes() - before) / 2**10


def _peak_resident_kibibytes() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def report(case: Case, rounds: int) -> None:
    found = times(case, rounds)
    ratios = [slow / fast for slow, fast in zip(found["reference"], found["fast"], strict=True)]
    words = [f"--{n}={getattr(case, n)}" for n in ("size", "images", "width", "precision", "device")]
    memory = {}
    for method in METHODS:
        command = [sys.executable, __file__, *words, f"--memory-of={method}", f"--frozen={int(case.frozen)}"]
        memory[method] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(
        f"| {'Vnet frozen' if case.frozen else 'everything trained'} "
        f"| {min(found['reference']) * 1e3:.0f} | {min(found['fast']) * 1e3:.0f} "
        f"| {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}) "
        f"| {memory['reference']:.0f} | {memory['fast']:.0f} | {memory['fast'] / memory['reference']:.2f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="256x192", help="HEIGHTxWIDTH of the images")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16", "fp16"))
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory-of", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--frozen", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()

    import torch

    from mammogan.training.distributed import choose_device

    device = choose_device(chosen.device).type
    settings = (chosen.size, chosen.images, chosen.width, chosen.precision, device)
    if chosen.memory_of:
        print(peak_mebibytes(Case(*settings, bool(chosen.frozen)), chosen.memory_of))
        return
    machine = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    network = f"width {chosen.width}, {chosen.precision}"
    print(f"{chosen.images} images of {chosen.size}, {network}, {machine}, torch {torch.__version__}")
    print("\n| step | reference ms | fast ms | times faster (range) | reference MiB | fast MiB | ratio |")
    print("|---|---|---|---|---|---|---|")
    for frozen in (True, False):
        report(Case(*settings, frozen), chosen.rounds)


if __name__ == "__main__":
    main()
