"""Measures one rank against two on this machine's CPU, and computes what 1 to 64 GPUs would give.

Measured: real steps over gloo, one thread per rank. The cases alternate, so a busy machine slows all of them. Strong:
the pairs of a batch are divided over the ranks. Weak: each rank has that many pairs. Hidden is the share of the
averaging of gradients that happens while other gradients are still being computed.

Computed from: exact counts of the study's steps, the speed of one GPU, and the links between GPUs. On a GPU the steps
are measured first. Elsewhere their speed is an assumption, --peak-tflops times --share, except for the steps that
--step-ms gives: benchmarks/step.py prints them on a GPU.

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
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from counted import Counted, phases
from links import Links, Taken, batch, taken
from rank_steps import KINDS, measured
from step import CAD_PAIRS, GAN_PAIRS, STEPS, Bench, milliseconds, ways

from mammogan.cluster.local import free_port
from mammogan.training.parallel.ranks import choose_device
from mammogan.workspace import Resolution

GPUS = (1, 2, 4, 8, 16, 32, 64)
RANKS = 2
Phases = dict[str, list[tuple[str, float, Counted]]]
SENSIBLE = 0.8
"""Smallest efficiency at which a number of GPUs is called sensible."""


def run_ranks(chosen: argparse.Namespace, kind: str) -> dict[str, list[float]]:
    """Measure one kind of batch in two processes of this file; the first one prints the result, which is returned."""
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
    """Yield a line of the table: efficiencies with their range over the rounds, and the hidden share of averaging."""
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
    """Measure every kind of batch on one rank and on two, and print the table."""
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


def speeds(chosen: argparse.Namespace, counted: Phases) -> dict[str, float]:
    """Return the FLOP/s of each kind of step: from its measured time if there is one, else the share of the peak."""
    given = steps_on_gpu(Resolution.parse(chosen.resolution)) if torch.cuda.is_available() else {}
    given |= {name: float(ms) for name, _, ms in (word.rpartition("=") for word in chosen.step_ms)}
    if unknown := given.keys() - set(STEPS):
        raise SystemExit(f"--step-ms: no step is called {', '.join(unknown)}; there are: {'; '.join(STEPS)}")
    found = dict.fromkeys(STEPS, chosen.peak_tflops * 1e12 * chosen.share)
    for steps in counted.values():
        for name, _, step in steps:
            if name in given:
                found[name] = step.flops * _pairs(name) / (given[name] * 1e-3 - chosen.fixed_ms * 1e-3)
    return found


def steps_on_gpu(resolution: Resolution, width: float = 1.0) -> dict[str, float]:
    """Measure the milliseconds of each step of the study on this device, with the package's default method."""
    device, way = choose_device("auto"), ways("auto")[0]
    return {name: milliseconds(Bench(resolution, width, way, device).step(name), device) for name in STEPS}


def _pairs(name: str) -> int:
    """Return the number of pairs in the study's batch."""
    return CAD_PAIRS if name.startswith("CAD") else GAN_PAIRS


@dataclass(frozen=True)
class Model:
    """Computes the study's batches on any number of GPUs with the same kind of links."""

    counted: Phases
    speeds: dict[str, float]
    fixed: float
    links: Links

    def batch(self, phase: str, pairs: float, ranks: int) -> Taken:
        """Return the times of a batch with ``pairs`` pairs on each rank."""
        return batch(
            [
                (often, taken(step.of_pairs(pairs), self.speeds[name], self.fixed, ranks, self.links))
                for name, often, step in self.counted[phase]
            ]
        )

    def strong(self, phase: str, ranks: int) -> float | None:
        """Return the efficiency at the study's batch; None if this number of ranks cannot divide it."""
        pairs = _pairs(phase)
        if pairs % ranks:
            return None
        return self.batch(phase, pairs, 1).whole / self.batch(phase, pairs / ranks, ranks).whole / ranks

    def weak(self, phase: str, ranks: int) -> float:
        """Return the efficiency with the study's batch on each rank."""
        pairs = _pairs(phase)
        return self.batch(phase, pairs, 1).whole / self.batch(phase, pairs, ranks).whole

    def row(self, phase: str, way: str) -> Row:
        """Return a row of the table; ``way`` is strong or weak."""
        pairs = _pairs(phase)
        strong = way == "strong"
        efficiencies = [self.strong(phase, n) if strong else self.weak(phase, n) for n in GPUS]
        sensible = [n for n, value in zip(GPUS, efficiencies, strict=True) if (value or 0) >= SENSIBLE]
        last = [n for n, value in zip(GPUS, efficiencies, strict=True) if value is not None][-1]
        return Row(efficiencies, sensible[-1], self.batch(phase, pairs / last if strong else pairs, last))


@dataclass(frozen=True)
class Row:
    """Efficiencies by number of GPUs, the largest sensible number, and the times of a batch on the last number."""

    efficiencies: list[float | None]
    most: int
    last: Taken

    def cells(self, nodes: int) -> str:
        shares = ["" if value is None else f"{value:.2f}" for value in self.efficiencies]
        parts = (self.last.computing, self.last.sending, self.last.exposed, self.last.exchanges)
        return " | ".join([*shares, f"{self.most} ({nodes})", *(f"{part * 1e3:.1f}" for part in parts)])


def report_computed(chosen: argparse.Namespace) -> None:
    """Compute the efficiencies for every phase and network, and print the table."""
    counted = phases(Resolution.parse(chosen.resolution))
    found = speeds(chosen, counted)
    models = {n: Model(counted, found, chosen.fixed_ms * 1e-3, _links(chosen, n)) for n in chosen.network_gbps}
    print(
        f"Computed, not measured: {chosen.resolution}, {CAD_PAIRS} pairs a CAD batch and {GAN_PAIRS} a GAN batch "
        f"(weak: on each GPU), steps at {chosen.share:.0%} of {chosen.peak_tflops:g} TFLOP/s"
        f"{' where --step-ms does not tell' if chosen.step_ms else ''} and {chosen.fixed_ms:g} ms; nodes of "
        f"{chosen.gpus_per_node} GPUs with {chosen.inside_gbs:g} GB/s, {chosen.network_share:.0%} of the network\n\n"
        "| batch | | Gb/s | "
        + " | ".join(map(str, GPUS))
        + f" | most at {SENSIBLE:.0%} (nodes) | computing, ms | sending | waited for | exchanges |\n"
        + "|---" * (len(GPUS) + 8)
        + "|"
    )
    for phase in counted:
        for way in ("strong", "weak"):
            for gbps, model in models.items():
                row = model.row(phase, way)
                print(f"| {phase} | {way} | {gbps:g} | {row.cells(model.links.nodes(row.most))} |")
                if way == "strong" and model.links.nodes(_pairs(phase)) == 1:
                    break  # everything is within one node, so the network does not matter
    for gbps, model in models.items():
        print(f"\n{gbps:g} Gb/s: {conclusion(model)}")


def _links(chosen: argparse.Namespace, gbps: float) -> Links:
    between = gbps / 8 * 1e9 * chosen.network_share
    return Links(
        chosen.gpus_per_node, chosen.inside_gbs * 1e9, between, chosen.inside_us * 1e-6, chosen.between_us * 1e-6
    )


def conclusion(model: Model) -> str:
    """Return a sentence with the largest sensible numbers of GPUs and nodes."""
    strong, weak = ({phase: model.row(phase, way).most for phase in model.counted} for way in ("strong", "weak"))
    cad, gan = (min(most for phase, most in strong.items() if phase.startswith(kind)) for kind in ("CAD", "GAN"))
    found = f"at the study's batch at most {cad} GPUs for the CAD and {gan} for a GAN; with as many pairs on each GPU"
    for number in sorted(set(weak.values())):
        names = "; ".join(phase for phase, most in weak.items() if most == number)
        found += f" {number} GPUs, {model.links.nodes(number)} node(s), for {names}."
    return found


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
