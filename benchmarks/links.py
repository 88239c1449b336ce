"""Computes how long ranks on several GPUs take for a step, from its counts and from the links between the GPUs.

A ring averages the gradients, in buckets, while the step still computes. The ranks wait for buckets that are not sent
when the step ends. Nothing here is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from counted import Counted, Ready

FIRST_BUCKET, BUCKET = 1 << 20, 25 << 20
"""Number of bytes at which DistributedDataParallel closes a bucket."""


@dataclass(frozen=True)
class Links:
    """How GPUs are connected within and between nodes.

    Bandwidths are in bytes/s, as an all-reduce reaches them; latencies are in s per hop.
    """

    gpus_per_node: int
    inside: float
    between: float
    inside_latency: float
    between_latency: float

    def nodes(self, ranks: int) -> int:
        """Return how many nodes the ranks need."""
        return -(-ranks // self.gpus_per_node)

    def all_reduce(self, size: float, ranks: int) -> float:
        """Return the seconds of an all-reduce of ``size`` bytes.

        2 (n-1)/n of the bytes pass the slowest link of the ring. The latencies are those of a tree of n ranks, up and
        down.
        """
        if ranks == 1:
            return 0.0
        bandwidth = self.inside if self.nodes(ranks) == 1 else min(self.inside, self.between)
        return 2 * (ranks - 1) / ranks * size / bandwidth + self._latency(ranks)

    def _latency(self, ranks: int) -> float:
        within = min(ranks, self.gpus_per_node)
        up = math.log2(within) * self.inside_latency + math.log2(self.nodes(ranks)) * self.between_latency
        return 2 * up


@dataclass(frozen=True)
class Taken:
    """Seconds of one step: computing, sending all gradients, waiting for gradients (exposed), and small exchanges."""

    computing: float
    sending: float
    exposed: float
    exchanges: float

    @property
    def whole(self) -> float:
        return self.computing + self.exposed + self.exchanges


def taken(step: Counted, flops_per_second: float, fixed: float, ranks: int, links: Links) -> Taken:
    """Return how long ``ranks`` ranks take for a step.

    ``fixed`` seconds, for launches and the optimiser, are the same for any number of mammograms.
    """
    computing = step.flops / flops_per_second
    sending = [(links.all_reduce(size, ranks), computing - left / flops_per_second) for size, left in buckets(step)]
    free = computing
    if ranks > 1:
        free = 0.0
        for seconds, complete in sending:
            free = max(free, complete) + seconds
    exchanges = step.exchanges * links.all_reduce(0, ranks)
    return Taken(computing + fixed, sum(s for s, _ in sending), max(0.0, free - computing), exchanges)


def batch(steps: Sequence[tuple[float, Taken]]) -> Taken:
    """Add the steps of a batch, each as often as the batch takes it."""
    names = ("computing", "sending", "exposed", "exchanges")
    return Taken(*(sum(often * getattr(step, name) for often, step in steps) for name in names))


def buckets(step: Counted) -> Iterator[tuple[int, float]]:
    """Yield, in the order of completion, the bytes of each bucket and the FLOPs that remain when it is complete."""
    held: list[Ready] = []
    limit = FIRST_BUCKET
    for gradient in step.gradients:
        held.append(gradient)
        if sum(one.bytes for one in held) >= limit:
            yield sum(one.bytes for one in held), gradient.flops_left
            held, limit = [], BUCKET
    if held:
        yield sum(one.bytes for one in held), held[-1].flops_left
