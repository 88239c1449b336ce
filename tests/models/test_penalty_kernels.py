"""Our kernels, run by triton's interpreter, against the plain layers that they stand for; and compiled for a GPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from mammogan.models.networks import Cad
from mammogan.models.penalty.fused_layers import fused_version
from mammogan.models.penalty.layers import AveragePool, Conv, Layer, Leak, PooledConv, ReluPool, W
from mammogan.models.penalty.trunk import Trunk

pytest.importorskip("triton")
NONE = (None, None)
STEM = PooledConv(Conv(0, (1, 1), (1, 1)), ReluPool(2, True))
LAYOUTS = [torch.contiguous_format, torch.channels_last]
SIZES = [(8, 12), (9, 7), (3, 2)]


def values(channels: int, size: tuple[int, int], layout: torch.memory_format, ties: bool = False) -> Tensor:
    drawn = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0))
    return (drawn.round() if ties else drawn).to(memory_format=layout)


def assert_equal_both_ways(layer: Layer, value: Tensor, w: W = NONE, rtol: float = 0.0, atol: float = 0.0) -> None:
    """Forward, push and pull of the layer with kernels are those of ``layer``."""
    own = fused_version(layer)
    assert type(own) is not type(layer) or isinstance(layer, PooledConv)
    (out, selected), (expected, chosen) = own.forward(value, w), layer.forward(value, w)
    torch.testing.assert_close(out, expected, rtol=rtol, atol=atol, equal_nan=True)
    torch.testing.assert_close(selected, chosen, rtol=rtol, atol=atol)
    tangent = torch.randn_like(value)
    pushed, known = own.jvp(tangent, chosen, w), layer.jvp(tangent, chosen, w)
    torch.testing.assert_close(pushed, known, rtol=rtol, atol=atol)
    for cotangent in (torch.randn_like(expected), torch.randn(expected.shape)):  # laid out as the value, or not
        pulled, known = (one.vjp(cotangent, chosen, value.shape, w) for one in (own, layer))
        torch.testing.assert_close(pulled, known, rtol=rtol, atol=atol)
    if isinstance(layer, PooledConv):
        wants = (True, True, w[1] is not None)
        found, known = (one.gradients(cotangent, chosen, value, value.shape, w, wants) for one in (own, layer))
        for ours, theirs in zip(found, known, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=rtol, atol=10 * atol)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("relu", [True, False])
def test_the_pool_with_kernels_is_the_plain_pool(
    relu: bool, size: tuple[int, int], layout: torch.memory_format, ties: bool
) -> None:
    assert_equal_both_ways(ReluPool(2, relu), values(70, size, layout, ties))


@pytest.mark.parametrize("relu", [True, False])
def test_the_pool_with_kernels_lets_nan_win_as_the_plain_pool_does(relu: bool) -> None:
    value = values(3, (4, 6), torch.channels_last)
    value[0, 0, 1, 0] = value[1, 2, 3, 5] = value[1, 2, 2, 4] = float("nan")
    assert_equal_both_ways(ReluPool(2, relu), value)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_the_leak_with_kernels_is_the_plain_leak(slope: float, layout: torch.memory_format) -> None:
    layer, value = Leak(slope), values(5, (9, 7), layout)
    assert_equal_both_ways(layer, value)
    tangent, out = torch.randn_like(value), layer.forward(value, NONE)[0]
    for kept in (out, layer.compact(out)):
        assert torch.equal(fused_version(layer).jvp(tangent, kept, NONE), layer.jvp(tangent, out, NONE))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("ins", "outs"), [(3, 64), (3, 5), (1, 70)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_the_fused_first_layer_is_convolution_relu_and_pool(
    ins: int, outs: int, size: tuple[int, int], layout: torch.memory_format, with_bias: bool
) -> None:
    random = torch.Generator().manual_seed(1)
    w = (torch.randn(outs, ins, 3, 3, generator=random), torch.randn(outs, generator=random) if with_bias else None)
    assert_equal_both_ways(STEM, values(ins, size, layout), w, rtol=1e-5, atol=1e-4)


def test_the_fused_first_layer_also_computes_in_half_precision() -> None:
    random = torch.Generator().manual_seed(1)
    w = (torch.randn(64, 3, 3, 3, generator=random), torch.randn(64, generator=random))
    value = values(3, (8, 8), torch.channels_last)
    half = tuple(v.to(torch.float16) for v in w)
    own = fused_version(STEM)
    out, code = own.forward(value.half(), half)
    assert out.dtype == torch.float16
    torch.testing.assert_close(out.float(), STEM.replay(value, code, w), rtol=5e-3, atol=2e-2)
    pulled = own.vjp(out, code, value.shape, half)
    torch.testing.assert_close(pulled.float(), STEM.vjp(out.float(), code, value.shape, w), rtol=5e-3, atol=0.3)


def test_a_complete_critic_with_kernels_has_the_gradients_of_one_without() -> None:
    """At the same selections: rounding alone makes two convolutions choose otherwise among near ties."""
    torch.manual_seed(0)
    cad, pixels = Cad(width=0.08).eval(), torch.rand(2, 1, 96, 97)
    own, plain = Trunk(cad.vnet, cad.fnet.convs), Trunk(cad.vnet, cad.fnet.convs)
    own.layers = [fused_version(layer) for layer in own.layers]
    found, run = [], None
    for trunk in (own, plain):
        cad.zero_grad(set_to_none=True)
        run = trunk.run(cad.normalise(pixels), replayed=run)
        logits = cad.last(cad.fnet.head(run.output))
        (at_vector,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), run.output, create_graph=True)
        (logits.square().sum() + 1e3 * run.vjp(at_vector).square().sum()).backward()
        found.append(torch.cat([p.grad.flatten() for p in cad.parameters() if p.grad is not None]))
    assert ((found[0] - found[1]).norm() / found[1].norm()).item() < 1e-5


def test_the_fused_first_layer_gives_the_layout_that_the_network_has() -> None:
    """The image itself has one channel once, of which layout says nothing."""
    w = (torch.randn(64, 3, 3, 3).to(memory_format=torch.channels_last), torch.randn(64))
    own = fused_version(STEM)
    out, code = own.forward(torch.randn(2, 3, 8, 8), w)
    for tensor in (
        out,
        code,
        own.jvp(torch.randn(2, 3, 8, 8), code, w),
        own.vjp(out, code, torch.Size([2, 3, 8, 8]), w),
    ):
        assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_layers_without_kernels_stay_as_they_are() -> None:
    for layer in (AveragePool((2, 2), (1, 1)), ReluPool(3, True), Conv(0, (1, 1), (1, 1))):
        assert fused_version(layer) is layer
    strided = PooledConv(Conv(0, (2, 2), (1, 1)), ReluPool(2, True))
    assert type(fused_version(strided)) is PooledConv


def test_every_kernel_compiles_for_a_gpu_that_is_not_here() -> None:
    """Compiling needs no GPU, so a mistake that only the compiler sees does not wait for one."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "tests/compile_kernels.py"], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert set(done.stdout.split()) == {"relu_pool", "gather", "scatter", "leak", "stem", "stem_vjp", "stem_gradient"}
