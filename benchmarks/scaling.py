"""One rank against two, measured on this machine's CPU; and what 1 to 64 GPUs would give, computed.

Measured: real steps over gloo, one thread a rank, in turns, so that a busy machine slows all. Strong: the pairs of a
batch are divided over the ranks. Weak: each rank has as many. Hidden is the share of the averaging of gradients
that goes on while others are still being computed.

Computed: exact counts of the study's steps, a speed of one GPU, and the links between them. The speed is an assumption
(--peak-tflops times --share) until it was measured: pass what benchmarks/step.py prints on a GPU as --step-ms.

    python benchmarks/scaling.py                        both
    python benchmarks/scaling.py --only computed --network-gbps 100 400 --gpus-per-node 4
    python benchmarks/scaling.py --only computed --step-ms "CAD, everything trained=150" "G=60"
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from counted import Counted, phases
from links import Links, Taken, batch, taken
from rank_steps import KINDS, measured
from step import CAD_PAIRS, GAN_PAIRS, STEPS

from mammogan.cluster.local import free_port
from mammogan.config import Resolution

GPUS = (1, 2, 4, 8, 16, 32, 64)
RANKS = 2
SENSIBLE = 0.8
"""Efficiency from which on more GPUs are called sensible."""


def run_ranks(chosen: argparse.Namespace, kind: str) -> dict[str, list[float]]:
    """The measurement of one kind of batch in two processes of this file; the first prints what it found."""
    words = ["--rank-of", kind, "--size", chosen.size, "--width", str(chosen.width)]
    words += ["--pairs", str(chosen.pairs), "--rounds", str(chosen.rounds)]
    joining = {"WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, *words],
            env=os.environ | joining | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{kind}: a rank failed, see above")
    found: dict[str, list[float]] = json.loads(said[0])
    return found


def measured_rows(kind: str, seconds: dict[str, list[float]]) -> Iterator[str]:
    """Efficiencies with their range over the rounds, and how much of the averaging is hidden."""
    rounds = [dict(zip(seconds, values, strict=True)) for values in zip(*seconds.values(), strict=True)]
    strong = [r["alone"] / r["strong"] / RANKS for r in rounds]
    weak = [r["alone"] / r["weak"] for r in rounds]
    beside = [r["each alone"] / r["weak"] for r in rounds]
    yield (
        f"| {kind} | {_ms(seconds['alone'])} | {_ms(seconds['strong'])} | {_share(strong)} | {_ms(seconds['weak'])} "
        f"| {_share(weak)} | {_share(beside)} | {_ms(seconds['averaging'])} | {_share(seconds['hidden'])} |"
    )


def _ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.0f}"


def _share(shares: list[float]) -> str:
    return f"{statistics.median(shares):.2f} ({min(shares):.2f}-{max(shares):.2f})"


def report_measured(chosen: argparse.Namespace) -> None:
    print(
        f"Measured: {chosen.pairs} pairs of {chosen.size}, width {chosen.width:g}, {RANKS} ranks of one CPU thread, "
        f"{chosen.rounds} rounds\n\n"
        "| batch | 1 rank, ms | strong, ms | efficiency (range) | weak, ms | efficiency (range) "
        "| against two that do not speak | averaging alone, ms | hidden (range) |\n" + "|---" * 9 + "|"
    )
    for kind in KINDS:
        for row in measured_rows(kind, run_ranks(chosen, kind)):
            print(row, flush=True)
    print()


def speeds(chosen: argparse.Namespace, counted: dict[str, list[tuple[str, float, Counted]]]) -> dict[str, float]:
    """FLOP/s of each kind of step: from what was measured where it was, else the share of the peak."""
    given = {name: float(ms) for name, _, ms in (word.rpartition("=") for word in chosen.step_ms)}
    if unknown := given.keys() - set(STEPS):
        raise SystemExit(f"--step-ms: no step is called {', '.join(unknown)}; there are: {'; '.join(STEPS)}")
    found = dict.fromkeys(STEPS, chosen.peak_tflops * 1e12 * chosen.share)
    for steps in counted.values():
        for name, _, step in steps:
            if name in given:
                found[name] = step.flops * _pairs(name) / (given[name] * 1e-3 - chosen.fixed_ms * 1e-3)
    return found


def _pairs(name: str) -> int:
    """Of the study's batch."""
    return CAD_PAIRS if name.startswith("CAD") else GAN_PAIRS


class Model:
    """The study's batches on any number of GPUs joined in one way."""

    def __init__(self, chosen: argparse.Namespace, links: Links) -> None:
        self.counted, self.links = phases(Resolution.parse(chosen.resolution)), links
        self.speeds, self.fixed = speeds(chosen, self.counted), chosen.fixed_ms * 1e-3

    def batch(self, phase: str, pairs: float, ranks: int) -> Taken:
        """One with ``pairs`` pairs on each rank."""
        return batch(
            [
                (often, taken(step.of_pairs(pairs), self.speeds[name], self.fixed, ranks, self.links))
                for name, often, step in self.counted[phase]
            ]
        )

    def strong(self, phase: str, ranks: int) -> float | None:
        """Efficiency at the study's batch; None where it cannot be divided so."""
        pairs = _pairs(phase)
        if pairs % ranks:
            return None
        return self.batch(phase, pairs, 1).whole / self.batch(phase, pairs / ranks, ranks).whole / ranks

    def weak(self, phase: str, ranks: int) -> float:
        pairs = _pairs(phase)
        return self.batch(phase, pairs, 1).whole / self.batch(phase, pairs, ranks).whole

    def sensible(self, phase: str) -> tuple[int, int]:
        """The most GPUs that are sensible, strong and weak."""
        strong = [n for n in GPUS if (self.strong(phase, n) or 0) >= SENSIBLE]
        return strong[-1], [n for n in GPUS if self.weak(phase, n) >= SENSIBLE][-1]

    def rows(self, phase: str) -> Iterator[str]:
        """Of each way to scale: efficiency by number of GPUs, and where the time goes at the most sensible number."""
        strong, weak = ((lambda n: self.strong(phase, n)), (lambda n: self.weak(phase, n)))
        for name, efficiency, most in zip(("strong", "weak"), (strong, weak), self.sensible(phase), strict=True):
            cells = " | ".join("" if value is None else f"{value:.2f}" for value in map(efficiency, GPUS))
            at = self.batch(phase, _pairs(phase) / (most if name == "strong" else 1), most)
            parts = (at.computing, at.sending, at.exposed, at.exchanges)
            ms = " | ".join(f"{part * 1e3:.1f}" for part in parts)
            yield f"| {phase} | {name} | {cells} | {most} ({self.links.nodes(most)}) | {ms} |"


def report_computed(chosen: argparse.Namespace) -> None:
    print(
        f"Computed, not measured: {chosen.resolution}, {CAD_PAIRS} pairs a CAD batch and {GAN_PAIRS} a GAN batch "
        f"(weak: on each GPU), steps at {chosen.share:.0%} of {chosen.peak_tflops:g} TFLOP/s"
        f"{' unless given by --step-ms' if chosen.step_ms else ''} and {chosen.fixed_ms:g} ms; nodes of "
        f"{chosen.gpus_per_node} GPUs with {chosen.inside_gbs:g} GB/s"
    )
    for gbps in chosen.network_gbps:
        between = gbps / 8 * 1e9 * chosen.network_share
        latencies = (chosen.inside_us * 1e-6, chosen.between_us * 1e-6)
        model = Model(chosen, Links(chosen.gpus_per_node, chosen.inside_gbs * 1e9, between, *latencies))
        print(
            f"\n{gbps:g} Gb/s from node to node, of which {chosen.network_share:.0%} are reached:\n\n| batch | | "
            + " | ".join(map(str, GPUS))
            + f" | most at {SENSIBLE:.0%} (nodes) | computing, ms | sending | waited for | exchanges |\n"
            + "|---" * (len(GPUS) + 7)
            + "|"
        )
        for phase in model.counted:
            for row in model.rows(phase):
                print(row)
        for sentence in conclusion(model):
            print(sentence)


def conclusion(model: Model) -> Iterator[str]:
    """The largest sensible numbers of GPUs and nodes."""
    most = {phase: model.sensible(phase) for phase in model.counted}
    cad, gan = (min(strong for phase, (strong, _) in most.items() if phase.startswith(kind)) for kind in ("CAD", "GAN"))
    yield f"\nLargest sensible at the study's batch: {cad} GPUs for the CAD, {gan} for a GAN."
    for number in sorted({weak for _, weak in most.values()}):
        names = "; ".join(phase for phase, (_, weak) in most.items() if weak == number)
        yield f"With as many pairs on each GPU: {number} GPUs, {model.links.nodes(number)} node(s), for {names}."


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--only", choices=("measured", "computed"))
    here = found.add_argument_group("measured")
    here.add_argument("--size", default="128x128", help="HEIGHTxWIDTH of the images")
    here.add_argument("--width", type=float, default=0.25, help="of the networks; the study's is 1")
    here.add_argument("--pairs", type=int, default=2, help="of one rank, and of both together in the strong case")
    here.add_argument("--rounds", type=int, default=7)
    here.add_argument("--rank-of", choices=KINDS, help=argparse.SUPPRESS)
    gpus = found.add_argument_group("computed")
    gpus.add_argument("--resolution", default="high", help="high, low or HEIGHTxWIDTH")
    gpus.add_argument("--step-ms", nargs="+", default=[], help="NAME=MS as benchmarks/step.py prints them, way 'ours'")
    gpus.add_argument("--peak-tflops", type=float, default=788.0, help="dense, of a GPU; 788 is an H200 in bf16")
    gpus.add_argument("--share", type=float, default=0.4, help="of the peak that steps reach, an assumption")
    gpus.add_argument("--fixed-ms", type=float, default=2.0, help="of a step for launches and Adam, an assumption")
    gpus.add_argument("--gpus-per-node", type=int, default=8)
    gpus.add_argument("--inside-gbs", type=float, default=300.0, help="GB/s of an all-reduce in a node, as over NVLink")
    gpus.add_argument(
        "--network-gbps", type=float, nargs="+", default=[100.0, 200.0, 400.0], help="Gb/s of a node's network"
    )
    gpus.add_argument("--network-share", type=float, default=0.8, help="of the network that an all-reduce reaches")
    gpus.add_argument("--inside-us", type=float, default=5.0, help="latency of a hop in a node")
    gpus.add_argument("--between-us", type=float, default=15.0, help="latency of a hop between nodes")
    return found


def main() -> None:
    chosen = parser().parse_args()
    if chosen.rank_of:
        print(
            json.dumps(
                measured(chosen.rank_of, Resolution.parse(chosen.size), chosen.width, chosen.pairs, chosen.rounds)
            )
        )
        return
    if chosen.only != "computed":
        report_measured(chosen)
    if chosen.only != "measured":
        report_computed(chosen)


if __name__ == "__main__":
    main()
