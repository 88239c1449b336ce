"""The fast gradient penalty against plain automatic differentiation, and its layers against their definitions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mammogan.config import UserError
from mammogan.models.losses import focal
from mammogan.models.networks import Cad, Critic, Discriminator
from mammogan.models.penalty import Way, penalty, scores_and_powers
from mammogan.models.penalty.layers import AveragePool, Conv, GlobalMax, Layer, Leak, PooledConv, ReluPool
from mammogan.models.penalty.part import Gradients
from mammogan.models.penalty.trunk import Trunk

LABELS = torch.tensor([1, 1, 0])
NONE = (None, None)
CONV = Conv(0, (2, 2), (1, 1))
WAYS = {"fast": Way(), "recomputed": Way(recompute=True), "reference": Way("reference")}


def critic_of(kind: type[Critic], frozen: Sequence[str] = (), dtype: torch.dtype = torch.float64) -> Critic:
    torch.manual_seed(0)
    critic = kind(width=0.08).to(dtype)  # type: ignore[call-arg]
    for name in frozen:
        critic.get_submodule(name).requires_grad_(False)
    return critic.train()


def gradients(
    critic: Critic, pixels: Tensor, method: str, of: str = "margin", o: float = 4.0
) -> tuple[Tensor, list[Tensor | None]]:
    """Loss and all weight gradients of a step whose loss and penalty weigh about the same."""
    critic.zero_grad(set_to_none=True)
    keep = critic.fnet.draw_keep(len(pixels), torch.Generator().manual_seed(1))
    logits, powers = scores_and_powers(critic, pixels, keep, of, o, LABELS[: len(pixels)], WAYS[method])
    term = focal(logits, 1) if logits.shape[1] == 2 else logits.square().mean()
    gp = penalty(powers[:2])
    loss = term + gp / gp.detach()
    loss.backward()
    return torch.stack([loss.detach(), powers.sum().detach()]), [p.grad for p in critic.parameters()]


def relative(first: Tensor, second: Tensor) -> float:
    return ((first - second).norm() / second.norm().clamp_min(1e-300)).item()


@pytest.mark.parametrize("frozen", [(), ("vnet",), ("vnet", "fnet.convs"), ("vnet", "fnet"), ("vnet.0",), ("fnet",)])
@pytest.mark.parametrize("kind", [Cad, Discriminator])
@pytest.mark.parametrize("way", ["fast", "recomputed"])
def test_every_weight_gradient_equals_the_references(way: str, kind: type[Critic], frozen: tuple[str, ...]) -> None:
    critic, pixels = critic_of(kind, frozen), torch.rand(3, 1, 96, 128, dtype=torch.float64)
    (value, fast), (expected, reference) = (gradients(critic, pixels, m) for m in (way, "reference"))
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    for (name, _), ours, theirs in zip(critic.named_parameters(), fast, reference, strict=True):
        assert (ours is None) == (theirs is None), name
        if ours is not None and theirs is not None and theirs.norm() > 1e-14:
            assert relative(ours, theirs) < 1e-11, name


@pytest.mark.parametrize("of", ["sum", "margin", "target"])
@pytest.mark.parametrize("o", [2.0, 4.0])
@pytest.mark.parametrize("size", [(96, 96), (101, 131)])
def test_all_kinds_of_penalty_agree_also_at_odd_sizes(of: str, o: float, size: tuple[int, int]) -> None:
    critic, pixels = critic_of(Cad), torch.rand(3, 1, *size, dtype=torch.float64)
    (value, fast), (expected, reference) = (gradients(critic, pixels, m, of, o) for m in ("fast", "reference"))
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    assert max(relative(a, b) for a, b in zip(fast, reference, strict=True) if a is not None and b is not None) < 1e-10


def test_twenty_steps_with_either_method_stay_together() -> None:
    critics = [critic_of(Cad), critic_of(Cad)]
    optimizers = [torch.optim.Adam(c.parameters(), 1e-4, betas=(0.5, 0.9)) for c in critics]
    random = torch.Generator().manual_seed(2)
    for _ in range(20):
        pixels = torch.rand(3, 1, 96, 96, dtype=torch.float64, generator=random)
        values = []
        for critic, optimizer, method in zip(critics, optimizers, ("fast", "reference"), strict=True):
            values.append(gradients(critic, pixels, method)[0])
            optimizer.step()
        torch.testing.assert_close(values[0], values[1], rtol=1e-10, atol=0)


@pytest.mark.parametrize(("dtype", "least"), [(torch.bfloat16, 0.98), (torch.float16, 0.998)])
def test_half_precision_points_where_double_precision_does(dtype: torch.dtype, least: float) -> None:
    critic, pixels = critic_of(Cad, dtype=torch.float32), torch.rand(3, 1, 96, 96)
    with torch.autocast("cpu", dtype):
        _, half = gradients(critic, pixels, "fast")
    _, full = gradients(critic, pixels, "reference")
    ours, theirs = (torch.cat([g.flatten() for g in side if g is not None]) for side in (half, full))
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=0) > least


@pytest.mark.parametrize("size", [1e-4, 1e-2, 1.0, 1e2])
def test_half_precision_keeps_penalties_of_tiny_and_huge_gradients(size: float) -> None:
    """The penalty's tangent goes with the cube of the norm: at 1e-4 a half would hold nothing of it."""
    critic, pixels = critic_of(Cad, dtype=torch.float32).eval(), torch.rand(2, 1, 96, 96)
    norm = scores_and_powers(critic, pixels, of="margin", o=1)[1].mean().detach()
    critic.last.weight.data *= size / norm
    found = []
    for method, half in (("reference", False), ("fast", True)):
        critic.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.float16, enabled=half):
            powers = scores_and_powers(critic, pixels, of="margin", way=Way(method))[1]
        penalty(powers).backward()
        found.append(critic.vnet[3].weight.grad.double().flatten())
    assert found[1].isfinite().all() and found[1].abs().sum() > 0
    assert torch.nn.functional.cosine_similarity(found[0] / found[0].norm(), found[1] / found[1].norm(), dim=0) > 0.99
    assert found[1].norm() / found[0].norm() == pytest.approx(1, abs=0.2)


def test_an_unknown_module_is_named_with_the_way_out() -> None:
    with pytest.raises(UserError, match=r"BatchNorm2d.*--compute.penalty reference"):
        Trunk(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    with pytest.raises(UserError, match=r"MaxPool2d.*overlap"):
        Trunk(nn.MaxPool2d(3, stride=2))


def test_other_trunks_of_known_modules_are_taken_too() -> None:
    torch.manual_seed(0)
    chain = nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2),
        nn.LeakyReLU(0.2),
        nn.MaxPool2d(3),
        nn.Conv2d(8, 8, 3, bias=False),
        nn.AvgPool2d(2),
    ).double()
    value, outward = torch.rand(2, 3, 31, 29, dtype=torch.float64), torch.rand(2, 8, dtype=torch.float64)
    x = value.clone().requires_grad_(True)
    expected = chain(x).flatten(2).amax(2)
    (pulled,) = torch.autograd.grad((expected * outward).sum(), x)
    run = Trunk(chain).run(value)
    torch.testing.assert_close(run.output, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(run.pull(outward), pulled, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "layer", [Leak(0.0), Leak(0.2), ReluPool(2, True), ReluPool(3, False), AveragePool((2, 2), (1, 1)), GlobalMax()]
)
def test_pull_is_the_adjoint_of_push(layer: Layer) -> None:
    value = torch.randn(2, 3, 13, 11, dtype=torch.float64)
    out, selected = layer.forward(value, NONE)
    tangent, cotangent = torch.randn_like(value), torch.randn_like(out)
    pushed, pulled = layer.push(tangent, selected, NONE), layer.pull(cotangent, selected, value.shape, NONE)
    assert pulled.shape == value.shape and pushed.shape == out.shape
    assert (pulled * tangent).sum().item() == pytest.approx((cotangent * pushed).sum().item(), rel=1e-12)


@pytest.mark.parametrize("layer", [CONV, PooledConv(CONV, ReluPool(2, True)), PooledConv(CONV, ReluPool(2, False))])
def test_pull_of_a_convolution_is_the_adjoint_of_push_and_knows_all_gradients(layer: Conv | PooledConv) -> None:
    weight, bias = (torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((4, 3, 3, 3), (4,)))
    value, w = torch.randn(2, 3, 13, 11, dtype=torch.float64, requires_grad=True), (weight.detach(), bias.detach())
    out = torch.nn.functional.conv2d(value, weight, bias, CONV.stride, CONV.padding)
    if isinstance(layer, PooledConv):
        out = torch.nn.functional.max_pool2d(out.relu() if layer.pool.relu else out, 2)
    cotangent, tangent = torch.randn_like(out), torch.randn_like(value)
    expected = torch.autograd.grad((out * cotangent).sum(), (value, weight, bias))
    found, selected = layer.forward(value.detach(), w)
    torch.testing.assert_close(found, out.detach())
    torch.testing.assert_close(layer.replay(value.detach(), selected, w), out.detach())
    every = layer.adjoint(cotangent, selected, value.detach(), value.shape, w, (True, True, True))
    for ours, theirs in zip(every, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    pulled, pushed = layer.pull(cotangent, selected, value.shape, w), layer.push(tangent, selected, w)
    assert (pulled * tangent).sum().item() == pytest.approx((cotangent * pushed).sum().item(), rel=1e-12)


def test_ties_and_nan_select_as_torchs_pool_does() -> None:
    value = torch.tensor(
        [[[[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [float("nan"), 2.0, -1.0, -2.0], [0.0, 1.0, -3.0, -4.0]]]]
    )
    x = value.clone().requires_grad_(True)
    expected = nn.functional.max_pool2d(x, 2)
    expected.nan_to_num().sum().backward()
    pooled, code = ReluPool(2, False).forward(value, NONE)
    torch.testing.assert_close(pooled, expected.detach(), equal_nan=True)
    assert code.tolist() == [[[[0, 0], [0, 0]]]]
    scattered = ReluPool(2, False).pull(torch.ones_like(pooled), code, value.shape, NONE)
    assert x.grad is not None and torch.equal(scattered[..., :2, :2], x.grad[..., :2, :2])


def test_nothing_is_kept_or_computed_for_a_frozen_vnet() -> None:
    critic = critic_of(Cad, ("vnet",))
    run = Trunk(critic.vnet, critic.fnet.convs).run(torch.rand(1, 3, 96, 96, dtype=torch.float64))
    assert len(run.parts[0].inputs) == 2, "the inputs of Fnet's two convolutions alone"
    assert Gradients(run.weights, run.layers).lowest == len(Trunk(critic.vnet).layers) - 1, "Fnet's first"
