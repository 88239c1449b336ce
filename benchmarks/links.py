"""How long ranks on some GPUs take for a step, computed from its counts and from the links between them.

Gradients are averaged by a ring, in buckets, while the step goes on computing; what is not sent when it ends is waited
for. Nothing here is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from counted import Counted, Ready

FIRST_BUCKET, BUCKET = 1 << 20, 25 << 20
"""Bytes at which DistributedDataParallel closes a bucket."""


@dataclass(frozen=True)
class Links:
    """GPUs in nodes. Bandwidths in bytes/s as an all-reduce sees them, latencies in s of one hop."""

    gpus_per_node: int
    inside: float
    between: float
    inside_latency: float
    between_latency: float

    def nodes(self, ranks: int) -> int:
        return -(-ranks // self.gpus_per_node)

    def all_reduce(self, size: float, ranks: int) -> float:
        """2 (n-1)/n of the bytes pass the slowest link of the ring; up and down a tree of n go the latencies."""
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
    """Seconds of one step: computing, gradients sent in all, those of them that are waited for, small exchanges."""

    computing: float
    sending: float
    exposed: float
    exchanges: float

    @property
    def whole(self) -> float:
        return self.computing + self.exposed + self.exchanges


def taken(step: Counted, flops_per_second: float, fixed: float, ranks: int, links: Links) -> Taken:
    """``fixed`` seconds of a step, its launches and the optimiser, are the same for any number of mammograms."""
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
    """The steps of a batch, each as often as it is taken."""
    names = ("computing", "sending", "exposed", "exchanges")
    return Taken(*(sum(often * getattr(step, name) for often, step in steps) for name in names))


def buckets(step: Counted) -> Iterator[tuple[int, float]]:
    """Bytes of each bucket and FLOPs still to come when it is complete, in the order of completion."""
    held: list[Ready] = []
    limit = FIRST_BUCKET
    for gradient in step.gradients:
        held.append(gradient)
        if sum(one.bytes for one in held) >= limit:
            yield sum(one.bytes for one in held), gradient.flops_left
            held, limit = [], BUCKET
    if held:
        yield sum(one.bytes for one in held), held[-1].flops_left
