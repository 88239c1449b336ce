"""What the computed scaling rests on: gradients are counted whole, and what cannot be hidden is waited for."""

from __future__ import annotations

import pytest
from counted import Counted, Networks, Ready
from links import BUCKET, Links, buckets, taken

from mammogan.workspace import Resolution

SLOW = Links(gpus_per_node=2, inside=100e9, between=10e9, inside_latency=0.0, between_latency=0.0)


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(Resolution(96, 96))


def test_every_trained_weight_is_sent_once_and_a_frozen_one_never(networks: Networks) -> None:
    sizes = {name: sum(p.numel() for p in part.parameters()) * 4 for name, part in networks.cad.named_children()}
    assert networks.cad_step(frozen=False).bytes == sum(sizes.values()) == 4 * 55_130_242
    assert networks.cad_step(frozen=True).bytes == sizes["fnet"] + sizes["last"]
    assert networks.generator_step().bytes == 4 * 25_197_313
    assert networks.discriminator_step(("last",)).bytes == 4 * 257


def test_a_third_of_a_cad_step_is_left_when_the_head_is_sent_and_hardly_any_with_vnet_frozen(
    networks: Networks,
) -> None:
    for frozen, share in ((False, 1 / 3), (True, 0.0)):
        step = networks.cad_step(frozen)
        head = max(step.gradients, key=lambda gradient: gradient.bytes)
        assert head.flops_left / step.flops == pytest.approx(share, abs=0.03)


def test_fnets_convolutions_are_complete_while_vnet_is_still_to_come(networks: Networks) -> None:
    step = networks.cad_step(frozen=False)
    convs = [g for g in step.gradients if g.bytes in (4 * 512 * 512 * 9, 4 * 512 * 2048 * 9)]
    assert min(g.flops_left for g in convs if g.bytes == 4 * 512 * 2048 * 9) > 0.1 * step.flops


def test_buckets_are_closed_as_ddp_closes_them() -> None:
    step = Counted(10, [Ready(1 << 20, 8), Ready(BUCKET, 6), Ready(10, 4), Ready(10, 2)])
    assert list(buckets(step)) == [(1 << 20, 8), (BUCKET, 6), (20, 2)]


def test_sending_during_the_step_is_free_and_the_rest_costs_its_time() -> None:
    """4 GPUs on 2 nodes: 1e9 bytes pass the network 1.5 times, in 0.15 s."""
    early, late = Ready(10**9, flops_left=1.0), Ready(10**9, flops_left=0.0)
    assert SLOW.all_reduce(1e9, 4) == pytest.approx(0.15) and SLOW.all_reduce(1e9, 2) == pytest.approx(0.01)
    hidden, waited = (taken(Counted(2.0, [one]), 1.0, 0.0, 4, SLOW) for one in (early, late))
    assert (hidden.exposed, waited.exposed) == (0.0, pytest.approx(0.15))
    assert hidden.whole == 2.0 and waited.sending == pytest.approx(0.15)
    assert taken(Counted(2.0, [late], exchanges=3), 1.0, 0.5, 1, SLOW).whole == 2.5, "one rank sends nothing"
