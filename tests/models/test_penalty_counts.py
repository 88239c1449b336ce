"""The penalty's arithmetic, traffic and memory at the study's size, counted exactly on meta tensors."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from counting import Counted, conv_flops, count

from mammogan.models.losses import dis, discriminator_loss, focal
from mammogan.models.networks import Cad, Critic, Discriminator
from mammogan.models.penalty import PenaltyMethod, penalty, scores, scores_and_powers

SIZE = (1728, 1408)
FAST, RECOMPUTED, STOCK = (
    PenaltyMethod(kernels=False),
    PenaltyMethod(kernels=False, recompute=True),
    PenaltyMethod("reference"),
)


def on_meta(kind: Callable[[], Critic], frozen: bool = False, dtype: torch.dtype = torch.float32) -> Critic:
    with torch.device("meta"):
        critic = kind().to(dtype)
    critic.vnet.requires_grad_(not frozen)
    return critic.eval()


def cad_step(way: PenaltyMethod, images: int, frozen: bool) -> Counted:
    """Focal loss and penalty on all images."""
    cad, pixels = on_meta(Cad, frozen), torch.empty(images, 1, *SIZE, device="meta")

    def step() -> None:
        logits, powers = scores_and_powers(cad, pixels, options=way)
        (focal(logits, 1) + penalty(powers)).backward()

    return count(step)


def discriminator_step(way: PenaltyMethod, pairs: int, frozen: bool) -> Counted:
    """Eq. 4 with the penalty on the real ones, all in bf16."""
    critic = on_meta(Discriminator, frozen, torch.bfloat16)
    real, fake = (torch.empty(pairs, 1, *SIZE, device="meta", dtype=torch.bfloat16) for _ in range(2))

    def step() -> None:
        logits, powers = scores_and_powers(critic, real, options=way)
        loss = discriminator_loss(dis(logits), dis(scores(critic, fake, options=way)), "paper")
        (loss + penalty(powers)).backward()

    return count(step)


@pytest.fixture(scope="module")
def forward() -> tuple[list[int], list[int]]:
    """FLOPs of one image through the convolutions of Vnet and of Fnet."""
    critic = on_meta(Cad)
    vnet = conv_flops(critic.vnet, (1, 3, *SIZE))
    return vnet, conv_flops(critic.fnet.convs, (1, 512, SIZE[0] // 32, SIZE[1] // 32))


def test_a_forward_pass_costs_what_the_networks_say(forward: tuple[list[int], list[int]]) -> None:
    vnet, fnet = forward
    assert sum(vnet) / 1e9 == pytest.approx(725.9, abs=0.1) and sum(fnet) / 1e9 == pytest.approx(14.1, abs=0.1)


@pytest.mark.parametrize("images", [1, 3])
def test_a_penalised_step_takes_six_forward_passes_but_nothing_towards_the_image(
    images: int, forward: tuple[list[int], list[int]]
) -> None:
    vnet, fnet = forward
    assert cad_step(FAST, images, frozen=False).conv_flops == images * (6 * sum(vnet + fnet) - vnet[0])


def test_a_frozen_vnet_costs_three_forward_passes_of_its_own(forward: tuple[list[int], list[int]]) -> None:
    vnet, fnet = forward
    found = cad_step(FAST, 2, frozen=True).conv_flops
    assert found == 2 * (3 * sum(vnet) + 6 * sum(fnet) - fnet[0])
    assert cad_step(STOCK, 2, frozen=True).conv_flops > 1.5 * found


def test_recomputing_costs_two_forward_passes_more_of_what_is_trained(forward: tuple[list[int], list[int]]) -> None:
    vnet, fnet = forward
    everything = cad_step(RECOMPUTED, 2, frozen=False).conv_flops
    assert everything == 2 * (8 * sum(vnet + fnet) - 2 * vnet[0])
    assert cad_step(RECOMPUTED, 2, frozen=True).conv_flops == 2 * (3 * sum(vnet) + 8 * sum(fnet) - 2 * fnet[0])


def test_fakes_take_three_forward_passes_and_none_of_a_frozen_vnet_but_its_forward(
    forward: tuple[list[int], list[int]],
) -> None:
    vnet, fnet = forward
    everything = 6 * sum(vnet + fnet) - vnet[0] + 3 * sum(vnet + fnet) - vnet[0]
    assert discriminator_step(FAST, 2, frozen=False).conv_flops == 2 * everything
    frozen = 3 * sum(vnet) + 6 * sum(fnet) - fnet[0] + sum(vnet) + 3 * sum(fnet) - fnet[0]
    assert discriminator_step(FAST, 2, frozen=True).conv_flops == 2 * frozen


def test_a_generator_step_takes_no_weight_gradients_of_the_discriminator(forward: tuple[list[int], list[int]]) -> None:
    critic, fake = on_meta(Discriminator), torch.empty(2, 1, *SIZE, device="meta", requires_grad=True)
    critic.requires_grad_(False)
    found = {
        way: count(lambda w=way: (-dis(scores(critic, fake, options=w)).mean()).backward())
        for way in (FAST, PenaltyMethod())
    }
    assert found[FAST].conv_flops == 2 * 2 * sum(forward[0] + forward[1])
    assert found[PenaltyMethod()].conv_flops == found[FAST].conv_flops - 2 * 2 * forward[0][0], (
        "the first layer is our own"
    )


@pytest.mark.parametrize(("frozen", "bytes_budget", "peak_budget"), [(False, 0.42, 0.39), (True, 0.29, 0.26)])
def test_a_discriminator_step_moves_and_holds_a_fraction_of_what_stock_autograd_does(
    frozen: bool, bytes_budget: float, peak_budget: float
) -> None:
    """The goals are .45 and .40; what is reached is held."""
    stock, fast = (discriminator_step(way, 2, frozen) for way in (STOCK, PenaltyMethod()))
    assert fast.bytes <= bytes_budget * stock.bytes
    assert fast.peak <= peak_budget * stock.peak


@pytest.mark.parametrize("step", [cad_step, discriminator_step])
def test_the_staged_penalty_computes_the_same_and_moves_and_holds_hardly_more(
    step: Callable[[PenaltyMethod, int, bool], Counted],
) -> None:
    one, two = (step(way, 2, False) for way in (FAST, PenaltyMethod(kernels=False, staged=True)))
    assert two.conv_flops == one.conv_flops
    assert two.bytes < 1.03 * one.bytes and two.peak < 1.03 * one.peak


def test_recomputing_holds_hardly_more_for_a_larger_batch() -> None:
    one, eight = (cad_step(RECOMPUTED, images, frozen=False).peak for images in (1, 8))
    kept = cad_step(FAST, 8, frozen=False).peak
    assert eight < 2 * one and eight < 0.35 * kept
