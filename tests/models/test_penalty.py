"""The fast gradient penalty against plain automatic differentiation."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mammogan.models.losses import focal
from mammogan.models.networks import Cad, Critic, Discriminator
from mammogan.models.penalty import PenaltyMethod, batch_pass, penalty, scores_and_powers
from mammogan.models.penalty.autograd import Pass
from mammogan.models.penalty.chunk import Gradients
from mammogan.models.penalty.trunk import Trunk
from mammogan.training.parallel.ranks import Ranks

LABELS = torch.tensor([1, 1, 0])
WAYS = {
    "fast": PenaltyMethod(),
    "in parts": PenaltyMethod(),
    "recomputed": PenaltyMethod(recompute=True),
    "in stretches": PenaltyMethod(staged=True),
    "recomputed in stretches": PenaltyMethod(recompute=True, staged=True),
    "reference": PenaltyMethod("reference"),
}


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
@pytest.mark.parametrize("way", ["fast", "in parts", "recomputed", "in stretches", "recomputed in stretches"])
def test_every_weight_gradient_equals_the_references(
    way: str, kind: type[Critic], frozen: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "in parts":
        monkeypatch.setattr(batch_pass, "PIXELS_AT_A_TIME", 2 * 96 * 128)  # of three images: two, then one
    critic, pixels = critic_of(kind, frozen), torch.rand(3, 1, 96, 128, dtype=torch.float64)
    (value, fast), (expected, reference) = (gradients(critic, pixels, m) for m in (way, "reference"))
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    for (name, _), ours, theirs in zip(critic.named_parameters(), fast, reference, strict=True):
        assert (ours is None) == (theirs is None), name
        if ours is not None and theirs is not None and theirs.norm() > 1e-14:
            assert relative(ours, theirs) < 1e-11, name


@pytest.mark.parametrize("kind", [Cad, Discriminator])
@pytest.mark.parametrize("size", [(96, 128), (101, 131)])
def test_the_staged_penalty_gives_the_same_bits(kind: type[Critic], size: tuple[int, int]) -> None:
    critic, pixels = critic_of(kind, dtype=torch.float32), torch.rand(3, 1, *size)
    (value, ours), (expected, whole) = (gradients(critic, pixels, m) for m in ("in stretches", "fast"))
    assert torch.equal(value, expected)
    for (name, _), one, other in zip(critic.named_parameters(), ours, whole, strict=True):
        assert one is not None and other is not None and torch.equal(one, other), name


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


@pytest.mark.parametrize("way", ["fast", "in stretches"])
@pytest.mark.parametrize(("dtype", "least"), [(torch.bfloat16, 0.99), (torch.float16, 0.999)])
def test_half_precision_points_where_double_precision_does(dtype: torch.dtype, least: float, way: str) -> None:
    critic, pixels = critic_of(Cad, dtype=torch.float32), torch.rand(3, 1, 96, 96)
    with torch.autocast("cpu", dtype):
        _, half = gradients(critic, pixels, way)
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
            powers = scores_and_powers(critic, pixels, of="margin", options=PenaltyMethod(method))[1]
        penalty(powers).backward()
        found.append(critic.vnet[3].weight.grad.double().flatten())
    assert found[1].isfinite().all() and found[1].abs().sum() > 0
    assert torch.nn.functional.cosine_similarity(found[0] / found[0].norm(), found[1] / found[1].norm(), dim=0) > 0.99
    assert found[1].norm() / found[0].norm() == pytest.approx(1, abs=0.2)


def test_a_constant_background_decides_no_tie_otherwise_than_the_reference() -> None:
    """Whole maps are equal there, and the global maximum with them."""
    critic, pixels = critic_of(Cad), torch.rand(3, 1, 96, 480, dtype=torch.float64)
    pixels[..., 60:] = 0
    pixels[2] = 0
    (value, fast), (expected, reference) = (gradients(critic, pixels, m) for m in ("fast", "reference"))
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    assert max(relative(a, b) for a, b in zip(fast, reference, strict=True) if a is not None and b is not None) < 1e-10


def test_nothing_of_a_step_outlives_it() -> None:
    """Reference counting must free it: the cyclic collector does not know how much GPU memory hangs on an object."""
    critic, pixels = critic_of(Cad), torch.rand(2, 1, 96, 96, dtype=torch.float64)
    gc.collect()
    gc.disable()
    try:
        run = Trunk(critic.vnet, critic.fnet.convs).run(critic.normalise(pixels))
        kept = weakref.ref(run.batch_pass)
        logits = critic.last(critic.fnet.head(run.output))
        (at_vector,) = torch.autograd.grad(logits.sum(), run.output, create_graph=True)
        loss = logits.square().sum() + run.vjp(at_vector).square().sum()
        del run, logits, at_vector
        loss.backward()
        del loss
        assert kept() is None
    finally:
        gc.enable()


def test_gradients_requested_separately_do_not_mix() -> None:
    critic, pixels = critic_of(Cad), torch.rand(2, 1, 96, 96, dtype=torch.float64)
    found = []
    for apart in (True, False):
        critic.zero_grad(set_to_none=True)
        keep = critic.fnet.draw_keep(2, torch.Generator().manual_seed(1))
        logits, powers = scores_and_powers(critic, pixels, keep, "margin")
        if apart:
            torch.autograd.grad(powers.sum(), critic.last.weight, retain_graph=True)
        logits.square().sum().backward()
        found.append(torch.cat([p.grad.flatten() for p in critic.parameters() if p.grad is not None]))
    torch.testing.assert_close(*found, rtol=1e-12, atol=0)


def test_nothing_is_kept_or_computed_for_a_frozen_vnet() -> None:
    critic = critic_of(Cad, ("vnet",))
    run = Trunk(critic.vnet, critic.fnet.convs).run(torch.rand(1, 3, 96, 96, dtype=torch.float64))
    kept = [value for value in run.output.grad_fn.saved_tensors if value is not None]  # type: ignore[union-attr]
    assert [value.shape[2:] for value in kept] == [(3, 3), (2, 2)], "the inputs of Fnet's two convolutions alone"
    assert Gradients(run.batch_pass.weights, run.batch_pass.layers).lowest == len(Trunk(critic.vnet).layers) - 1, (
        "Fnet's first"
    )


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
            critic.normalise(pixels.to(dtype)), PenaltyMethod(recompute=recompute), replayed
        )
        c = cotangent.to(dtype, copy=True).requires_grad_(True)
        pulled = run.vjp(c)
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
