"""A trunk's layers against their definitions, its derivatives against finite differences, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mammogan.errors import UserError
from mammogan.models.penalty.autograd import Pass
from mammogan.models.penalty.layers import AveragePool, Conv, GlobalMax, Layer, Leak, PooledConv, ReluPool
from mammogan.models.penalty.trunk import Trunk

NONE = (None, None)
CONV = Conv(0, (2, 2), (1, 1))


def tiny_trunk() -> tuple[Trunk, Tensor, list[Tensor]]:
    torch.manual_seed(0)
    convs = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 3, 2)
    chain = nn.Sequential(
        convs[0], nn.ReLU(), nn.MaxPool2d(2), convs[1], nn.LeakyReLU(0.2), convs[2], nn.AvgPool2d(2, 1)
    )
    trunk = Trunk(chain.double())
    weights = [weight.detach().clone().requires_grad_(True) for weight in chain.parameters()]
    return trunk, torch.randn(2, 2, 15, 17, dtype=torch.float64), weights


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, value: Tensor) -> Tensor:
        return value + self.conv(value)


@pytest.mark.parametrize(
    ("modules", "named"),
    [
        ((nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), "BatchNorm2d"),
        ((nn.MaxPool2d(3, stride=2),), "MaxPool2d"),
        ((nn.Sequential(Residual()),), "Residual"),
        ((nn.LazyConv2d(3, 3),), "LazyConv2d"),
        ((nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3)),), "Conv2d"),
        ((nn.Conv2d(3, 8, 3, padding="same"),), "Conv2d"),
    ],
)
def test_an_unknown_module_is_named_with_the_way_out(modules: tuple[nn.Module, ...], named: str) -> None:
    with pytest.raises(UserError, match=rf"(?s){named}.*--compute.penalty reference"):
        Trunk(*modules)


def test_a_module_that_is_used_twice_counts_twice() -> None:
    torch.manual_seed(0)
    act = nn.LeakyReLU(0.3)
    chain = nn.Sequential(nn.Conv2d(3, 4, 3), act, nn.Conv2d(4, 4, 3), act, nn.AvgPool2d(2))
    value = torch.randn(2, 3, 12, 12)
    torch.testing.assert_close(Trunk(chain).run(value).output, chain(value).amax((2, 3)))


def test_two_vjps_of_one_pass_both_count() -> None:
    trunk, value, weights = tiny_trunk()
    first, second = torch.randn(2, 2, 3, dtype=torch.float64)
    found = []
    for passes in (1, 2):
        run = Pass(trunk.layers, weights, value)
        other = run if passes == 1 else Pass(trunk.layers, weights, value)
        loss = run.vjp(first).square().sum() + other.vjp(second).square().sum()
        found.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, allow_unused=True) if g is not None])
        )
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)


def test_weights_changed_before_the_backward_pass_are_noticed() -> None:
    trunk, value, weights = tiny_trunk()
    output = Pass(trunk.layers, weights, value).output.sum()
    with torch.no_grad():
        weights[2].mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        output.backward()


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
    torch.testing.assert_close(run.vjp(outward), pulled, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "layer", [Leak(0.0), Leak(0.2), ReluPool(2, True), ReluPool(3, False), AveragePool((2, 2), (1, 1)), GlobalMax()]
)
def test_vjp_is_the_adjoint_of_jvp(layer: Layer) -> None:
    value = torch.randn(2, 3, 13, 11, dtype=torch.float64)
    out, selected = layer.forward(value, NONE)
    tangent, cotangent = torch.randn_like(value), torch.randn_like(out)
    pushed, pulled = layer.jvp(tangent, selected, NONE), layer.vjp(cotangent, selected, value.shape, NONE)
    assert pulled.shape == value.shape and pushed.shape == out.shape
    assert (pulled * tangent).sum().item() == pytest.approx((cotangent * pushed).sum().item(), rel=1e-12)


@pytest.mark.parametrize("layer", [CONV, PooledConv(CONV, ReluPool(2, True)), PooledConv(CONV, ReluPool(2, False))])
def test_vjp_of_a_convolution_is_the_adjoint_of_jvp_and_gives_all_gradients(layer: Conv | PooledConv) -> None:
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
    every = layer.gradients(cotangent, selected, value.detach(), value.shape, w, (True, True, True))
    for ours, theirs in zip(every, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    pulled, pushed = layer.vjp(cotangent, selected, value.shape, w), layer.jvp(tangent, selected, w)
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
    scattered = ReluPool(2, False).vjp(torch.ones_like(pooled), code, value.shape, NONE)
    assert x.grad is not None and torch.equal(scattered[..., :2, :2], x.grad[..., :2, :2])


def test_first_derivatives_equal_finite_differences() -> None:
    trunk, value, weights = tiny_trunk()
    value.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda v, *w: Pass(trunk.layers, w, v).output, (value, *weights))
    cotangent = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c, *w: Pass(trunk.layers, w, value).vjp(c), (cotangent, *weights))


def test_second_derivatives_equal_finite_differences() -> None:
    """The penalty is a function of a gradient: its own gradient by the weights is a second derivative."""
    trunk, value, weights = tiny_trunk()
    mix = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)

    def penalty_of(mix: Tensor, *weights: Tensor) -> Tensor:
        run = Pass(trunk.layers, weights, value)
        (at_output,) = torch.autograd.grad((run.output @ mix).tanh().sum(), run.output, create_graph=True)
        return run.vjp(at_output).square().sum((1, 2, 3)) ** 2

    assert torch.autograd.gradcheck(penalty_of, (mix, *weights))


def test_a_third_derivative_is_refused() -> None:
    trunk, value, weights = tiny_trunk()
    loss = Pass(trunk.layers, weights, value).output.square().sum()
    (gradient,) = torch.autograd.grad(loss, weights[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_a_second_backward_is_refused_unless_the_graph_was_retained() -> None:
    trunk, value, weights = tiny_trunk()
    output = Pass(trunk.layers, weights, value).output.sum()
    output.backward(retain_graph=True)
    first = weights[0].grad.clone()  # type: ignore[union-attr]
    output.backward()
    torch.testing.assert_close(weights[0].grad, 2 * first)
    with pytest.raises(RuntimeError, match="second time"):
        output.backward()
