"""The fast gradient penalty against plain automatic differentiation, and its layers against their definitions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mammogan.config import UserError
from mammogan.models.losses import focal
from mammogan.models.networks import Cad, Critic, Discriminator
from mammogan.models.penalty import Way, penalty, scores_and_powers
from mammogan.models.penalty.layers import AveragePool, Conv, GlobalMax, Layer, Leak, PooledConv, ReluPool
from mammogan.models.penalty.part import Gradients
from mammogan.models.penalty.passes import Pass
from mammogan.models.penalty.trunk import Trunk
from mammogan.training.distributed import Ranks

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
    kept = [value for value in run.output.grad_fn.saved_tensors if value is not None]  # type: ignore[union-attr]
    assert [value.shape[2:] for value in kept] == [(3, 3), (2, 2)], "the inputs of Fnet's two convolutions alone"
    assert Gradients(run.weights, run.layers).lowest == len(Trunk(critic.vnet).layers) - 1, "Fnet's first"


def tiny_trunk() -> tuple[Trunk, Tensor, list[Tensor]]:
    torch.manual_seed(0)
    convs = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 3, 2)
    chain = nn.Sequential(
        convs[0], nn.ReLU(), nn.MaxPool2d(2), convs[1], nn.LeakyReLU(0.2), convs[2], nn.AvgPool2d(2, 1)
    )
    trunk = Trunk(chain.double())
    weights = [weight.detach().clone().requires_grad_(True) for weight in chain.parameters()]
    return trunk, torch.randn(2, 2, 15, 17, dtype=torch.float64), weights


def test_first_derivatives_equal_finite_differences() -> None:
    trunk, value, weights = tiny_trunk()
    value.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda v, *w: Pass(trunk.layers, w, v).output, (value, *weights))
    cotangent = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c, *w: Pass(trunk.layers, w, value).pull(c), (cotangent, *weights))


def test_second_derivatives_equal_finite_differences() -> None:
    """The penalty is a function of a gradient: its own gradient by the weights is a second derivative."""
    trunk, value, weights = tiny_trunk()
    mix = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)

    def penalty_of(mix: Tensor, *weights: Tensor) -> Tensor:
        run = Pass(trunk.layers, weights, value)
        (at_output,) = torch.autograd.grad((run.output @ mix).tanh().sum(), run.output, create_graph=True)
        return run.pull(at_output).square().sum((1, 2, 3)) ** 2

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


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
@pytest.mark.parametrize("frozen", [(), ("vnet",)])
@pytest.mark.parametrize("recompute", [False, True])
def test_lower_precision_is_exact_to_its_rounding_at_the_same_selections(
    dtype: torch.dtype, most: float, frozen: tuple[str, ...], recompute: bool
) -> None:
    """It is off mainly because it selects otherwise, and because the head magnifies what it is given: so double
    precision takes its selections, and both pull and push the same, of sizes that no half could hold."""
    critic, pixels = critic_of(Cad, frozen, torch.float32), torch.rand(3, 1, 96, 96)
    exact = critic_of(Cad, frozen)
    exact.load_state_dict(critic.state_dict())
    random = torch.Generator().manual_seed(3)
    drawn = [torch.randn(3, *shape, generator=random) for shape in ((160,), (160,), (3, 96, 96))]
    sizes = [torch.tensor(s) for s in ([1.0, 2.0, 0.5], [1e-6, 3e-6, 1e-6], [1e6, 2e6, 2e6])]
    outward, cotangent, tangent = (d * s.view(-1, *[1] * (d.dim() - 1)) for d, s in zip(drawn, sizes, strict=True))

    def derivatives(critic: Critic, replayed: Pass | None) -> tuple[list[Tensor], Pass]:
        dtype = critic.last.weight.dtype
        run = Trunk(critic.vnet, critic.fnet.convs).run(
            critic.normalise(pixels.to(dtype)), Way(recompute=recompute), replayed
        )
        c = cotangent.to(dtype, copy=True).requires_grad_(True)
        pulled = run.pull(c)
        ((run.output * outward.to(dtype)).sum() + (pulled * tangent.to(dtype)).sum()).backward()
        weights = [p.grad for part in (critic.vnet, critic.fnet.convs) for p in part.parameters() if p.grad is not None]
        return [run.output.detach(), pulled.detach(), c.grad, *weights], run  # type: ignore[list-item]

    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        ours, run = derivatives(critic, None)
    theirs, _ = derivatives(exact, run)
    assert len(ours) == len(theirs) == 3 + (4 if frozen else 20)
    for one, other in zip(ours, theirs, strict=True):
        assert relative(one.double(), other) < most


def test_training_wraps_the_step_without_a_static_graph(tmp_path: Path) -> None:
    """With it DistributedDataParallel never averages what a double backward gives."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        step = DistributedDataParallel(nn.Linear(1, 1), static_graph=True)
        wrapped = Ranks(0, 2, torch.device("cpu")).wrap(nn.Linear(1, 1))
        assert step.static_graph and not wrapped.static_graph  # type: ignore[attr-defined]
    finally:
        dist.destroy_process_group()
