"""Each equation against a computation by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mammogan.models.losses import dis, discriminator_loss, focal, generator_loss, identity, stabiliser_hinge
from mammogan.models.networks import Cad, Critic
from mammogan.models.penalty import PenaltyMethod, differentiated, penalty, scores_and_powers


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_eq1_focal_loss_of_two_mammograms() -> None:
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]], dtype=torch.float64)
    p = [sigmoid(1.0), sigmoid(-2.0)]  # probability of positive
    by_hand = -0.5 * sum((1 - q) ** 2 * math.log(q) for q in p) / 2
    assert focal(logits, 1).item() == pytest.approx(by_hand, rel=1e-12)
    assert focal(logits, 1, alpha=1).item() == pytest.approx(2 * by_hand, rel=1e-12)
    of_negatives = -0.5 * sum(q**2 * math.log(1 - q) for q in p) / 2
    assert focal(logits, 0).item() == pytest.approx(of_negatives, rel=1e-12)


def test_eq1_published_code_treats_the_focal_weight_as_a_constant() -> None:
    def gradient(detach: bool) -> float:
        margin = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        focal(torch.stack([torch.zeros_like(margin), margin])[None], 1, alpha=1, detach=detach).backward()
        assert margin.grad is not None
        return margin.grad.item()

    p = sigmoid(0.3)
    constant = -((1 - p) ** 2) * (1 - p)
    assert gradient(True) == pytest.approx(constant, rel=1e-12)
    assert gradient(False) == pytest.approx(constant + 2 * (1 - p) * p * (1 - p) * math.log(p), rel=1e-12)


def test_dis_is_never_positive_and_does_not_overflow() -> None:
    logits = torch.tensor([[-1e4], [0.0], [1e4]])
    assert dis(logits).tolist() == [-1e4, pytest.approx(-math.log(2)), 0.0]


def test_eq4_with_the_papers_stabiliser_doubles_the_real_term() -> None:
    real, fake = torch.tensor([-0.2, -0.6]), torch.tensor([-1.0, -3.0])
    assert discriminator_loss(real, fake, "paper").item() == pytest.approx(0.4 - 2.0 + 1.4)


@pytest.mark.parametrize(("real", "slope"), [([-0.2, -0.6], -1.0), ([-1.5, -2.5], 1.0)])
def test_eq4_with_the_published_hinge_lets_go_of_the_real_term_once_it_is_small(
    real: list[float], slope: float
) -> None:
    dis_real = torch.tensor(real, requires_grad=True)
    dis_fake = torch.tensor([-1.0, -3.0])
    loss = discriminator_loss(dis_real, dis_fake, "hinge")
    mean = -sum(real) / 2
    assert loss.item() == pytest.approx(mean - 2.0 + abs(mean - 1))
    loss.backward()
    assert dis_real.grad is not None
    # real term -1/2 each, stabiliser -slope/2 each: they cancel below 1 and add above
    assert dis_real.grad.tolist() == pytest.approx([(-1 - slope) / 2] * 2)


def test_eq7_identity_in_normalised_first_channel_space() -> None:
    original = torch.tensor([[[[0.1, 0.9]]], [[[0.5, 0.3]]]])
    fake = torch.tensor([[[[0.2, 0.9]]], [[[0.5, 0.1]]]])
    above = (0.1 / 0.229) ** 2 + (0.2 / 0.229) ** 2
    below = sum(((v - 0.485) / 0.229) ** 2 for v in (0.1, 0.9, 0.5, 0.3))
    assert identity(fake, original).item() == pytest.approx(above / below, rel=1e-5)


def test_eq8_adds_identity_to_the_adversarial_term() -> None:
    assert generator_loss(torch.tensor([-0.5, -1.5]), torch.tensor(0.25)).item() == pytest.approx(1.25)
    assert generator_loss(torch.tensor([-0.5, -1.5]), torch.tensor(0.25), 2.0).item() == pytest.approx(1.5)


class Quadratic(Critic):
    """Two logits of a known gradient: z0 = sum x^2 / 2, z1 = 3 sum x."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1, dtype=torch.float64))
        self.register_buffer("std", torch.ones(1, 3, 1, 1, dtype=torch.float64))

    def score(self, normalised: torch.Tensor, keep: torch.Tensor | None = None) -> torch.Tensor:
        return torch.stack([normalised.square().sum((1, 2, 3)) / 2, 3 * normalised.sum((1, 2, 3))], 1)


@pytest.mark.parametrize(("of", "gradient"), [("sum", 0.5 + 3), ("margin", 3 - 0.5), ("target", 3.0)])
def test_eq3_penalty_of_a_critic_whose_gradient_is_known(of: str, gradient: float) -> None:
    pixels = torch.full((1, 1, 1, 2), 0.5, dtype=torch.float64)  # x = .5 in six values: dz0 = .5, dz1 = 3
    _, powers = scores_and_powers(
        Quadratic(), pixels, of=of, o=4, labels=torch.tensor([1]), options=PenaltyMethod("reference")
    )
    norm = math.sqrt(6 * gradient**2)
    assert powers.item() == pytest.approx(norm**4, rel=1e-12)
    assert penalty(powers, k=10).item() == pytest.approx(5 * norm**4, rel=1e-12)


def test_penalty_reaches_the_weights_as_finite_differences_say() -> None:
    torch.manual_seed(0)
    cad = Cad(width=0.05).double().eval()
    pixels = torch.rand(1, 1, 96, 96, dtype=torch.float64)
    for layer in cad.modules():  # lift the gradient's norm so that its fourth power is not lost in rounding
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 1.5

    def value() -> torch.Tensor:
        return penalty(scores_and_powers(cad, pixels, of="margin")[1])

    weight = cad.last.weight
    (gradient,) = torch.autograd.grad(value(), weight)
    step = torch.zeros_like(weight)
    step[1, 3] = 1e-4
    with torch.no_grad():
        weight += step
    above = value().item()
    with torch.no_grad():
        weight -= 2 * step
    below = value().item()
    assert gradient[1, 3].item() == pytest.approx((above - below) / 2e-4, rel=1e-5)
    assert gradient[1, 3] != 0


def test_sum_is_blind_to_the_margin_and_target_needs_labels() -> None:
    logits = torch.tensor([[1.0, 5.0]])
    assert differentiated(logits, "sum") == differentiated(logits.flip(1), "sum")
    assert differentiated(logits, "margin") == -differentiated(logits.flip(1), "margin")
    with pytest.raises(ValueError, match="labels"):
        differentiated(logits, "target")
    with pytest.raises(ValueError, match="sum, margin or target"):
        differentiated(logits, "both")


def test_the_hinge_of_two_ranks_follows_the_global_mean() -> None:
    """Own means .5 and 1.7: the global 1.1 is above 1, so both ranks pull their real terms down."""
    values, slopes = [], []
    for mean in (0.5, 1.7):
        dis_real = torch.full((2,), -mean, requires_grad=True)
        loss = stabiliser_hinge(dis_real, lambda own: torch.tensor(1.1))
        loss.backward()
        assert dis_real.grad is not None
        values.append(loss.item())
        slopes += dis_real.grad.tolist()
    assert sum(values) / 2 == pytest.approx(0.1)
    assert slopes == [-0.5] * 4
