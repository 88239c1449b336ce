"""Gradients are averaged over the ranks while others are still being computed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from trainings import codes, start_ranks

from mammogan.config import CadConfig, GanConfig
from mammogan.models.networks import Cad, Discriminator, Gnet
from mammogan.training.cad_step import CadStep
from mammogan.training.gan_steps import DiscriminatorStep, GeneratorStep
from mammogan.training.parallel.batch_norm import synchronise_batch_norm
from mammogan.training.parallel.ranks import Ranks, joined

WIDTH, SIZE = 0.25, 96
SENT = "sent"


def events_of(kind: str, ranks: Ranks) -> list[str]:
    """The weights whose gradients are complete, and between them SENT for each bucket that starts on its way, in the
    order of one backward pass; the one before it has told DistributedDataParallel that order."""
    torch.manual_seed(0)
    network, step, inputs = step_of(kind, ranks)
    wrapped = ranks.wrap(step)
    events: list[str] = []

    def average(bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        events.append(SENT)
        averaged = dist.all_reduce(bucket.buffer().div_(ranks.size), async_op=True).get_future()
        return averaged.then(lambda done: done.value()[0])

    wrapped.register_comm_hook(None, lambda state, bucket: average(bucket))
    for name, weight in network.named_parameters():
        weight.register_post_accumulate_grad_hook(lambda weight, name=name: events.append(name))
    for _ in range(2):
        events.clear()
        network.zero_grad()
        wrapped(*inputs)["loss"].backward()
    return events


def step_of(kind: str, ranks: Ranks) -> tuple[nn.Module, nn.Module, tuple[Tensor, ...]]:
    """The network that learns, the step, and a batch of one pair."""
    pixels = torch.rand(2, 1, 1, SIZE, SIZE)
    if kind == "cad":
        cad = Cad(WIDTH)
        return cad, CadStep(cad, CadConfig(), averaged=True), (*pixels, cad.fnet.draw_keep(2, torch.Generator()))
    critic, gnet = Discriminator(WIDTH), Gnet(WIDTH)
    synchronise_batch_norm(gnet, ranks)
    keep = critic.fnet.draw_keep(2, torch.Generator())
    if kind == "discriminator":
        return critic, DiscriminatorStep(critic, GanConfig(), ranks.mean, averaged=True), (*pixels, keep)
    return gnet, GeneratorStep(gnet, critic, GanConfig(), True, ranks.mean), (pixels[0], keep[:1])


def main(kind: str) -> None:
    with joined("cpu") as ranks:
        events = events_of(kind, ranks)
        if ranks.first:
            print(json.dumps(events))


@pytest.mark.parametrize(("kind", "awaited"), [("cad", "vnet."), ("discriminator", "vnet."), ("generator", "encoder.")])
def test_the_first_averages_are_sent_before_the_deeper_gradients_are_there(kind: str, awaited: str) -> None:
    processes = start_ranks([[sys.executable, str(Path(__file__)), kind]] * 2, stdout=subprocess.PIPE)
    said = [process.communicate(timeout=200)[0] for process in processes]
    assert codes(processes) == [0, 0]
    events: list[Any] = json.loads(said[0])
    deeper = [place for place, event in enumerate(events) if event.startswith(awaited)]
    assert events.index(SENT) < min(deeper), events
    assert events.count(SENT) > 1
    convs = [place for place, event in enumerate(events) if event.startswith("fnet.convs.")]
    assert max(convs, default=-1) < min(deeper), "Fnet's are complete before Vnet's"


if __name__ == "__main__":
    main(sys.argv[1])
