"""The convolutional part of a critic as one piecewise-linear map, differentiated by hand.

At fixed selections (signs, winners of the pools) a chain of convolutions, ReLUs and pools is affine, with a linear
part J. ``Pass.output`` is its value; ``Pass.pull`` applies J^T to a cotangent of the output. Both are ordinary
differentiable functions of the weights and of that cotangent, so the loss may hold both and needs one backward.

Against automatic differentiation twice over: no weight gradients of frozen layers and nothing at all below the lowest
trained one, weight gradients by the convolution's own kernel, a byte a pooled value instead of an int64 index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mammogan.config import UserError
from mammogan.models.penalty.layers import AveragePool, Conv, GlobalMax, Leak, ReluPool

HEADROOM = 16.0
"""Largest magnitude that a cotangent is brought to before half precision pulls it back: its values stay in range."""

Layer = Conv | Leak | ReluPool | AveragePool | GlobalMax


class Trunk:
    """A chain of modules, closed by a global max pool. Holds no weights: it reads those of the modules at each pass."""

    def __init__(self, *modules: nn.Module) -> None:
        leaves = [leaf for module in modules for leaf in module.modules() if not list(leaf.children())]
        self.convs = [leaf for leaf in leaves if isinstance(leaf, nn.Conv2d)]
        self.layers = list(_fused(leaves))

    def run(self, value: Tensor) -> Pass:
        """One forward pass over (N,C,H,W). Under autocast it computes in half precision."""
        return Pass(self, value)

    def weights(self) -> list[Tensor | None]:
        """Weight and bias of every convolution, in order."""
        return [parameter for conv in self.convs for parameter in (conv.weight, conv.bias)]


class Pass:
    """What one forward pass over a trunk selected and kept."""

    def __init__(self, trunk: Trunk, value: Tensor) -> None:
        self.layers, self.originals = trunk.layers, trunk.weights()
        kind = value.device.type
        self.dtype: torch.dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype
        self.halves = self.dtype in (torch.float16, torch.bfloat16)
        self.weights = [None if w is None else w.detach().to(self.dtype) for w in self.originals]
        self.kinds = [None if w is None else w.dtype for w in self.originals]
        self.trains = [w is not None and w.requires_grad for w in self.originals]
        self.selected: list[Any] = []
        self.shapes: list[torch.Size] = []
        self.inputs: list[Any] = []
        self.cotangents: dict[int, Tensor] = {}
        self.output: Tensor = _Forward.apply(self, value, *self.originals)

    def pull(self, cotangent: Tensor) -> Tensor:
        """J^T cotangent: (N, outputs) -> the input's shape, in at least float32. Call it once a pass."""
        pulled: Tensor = _Pull.apply(self, cotangent, *self.originals)
        return pulled

    def lowest_trained(self) -> int:
        """Index of the lowest layer with a weight or bias to train; the number of layers when all are frozen."""
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Conv) and (self.trains[2 * layer.number] or self.trains[2 * layer.number + 1]):
                return i
        return len(self.layers)

    def down(self, cotangent: Tensor, until: int) -> Iterator[tuple[int, Layer, Tensor]]:
        """Walk from the output to layer ``until``, with the cotangent of each layer's output."""
        for i in range(len(self.layers) - 1, until - 1, -1):
            layer = self.layers[i]
            yield i, layer, cotangent
            if i > until:
                cotangent = self.pull_layer(i, cotangent)

    def pull_layer(self, i: int, cotangent: Tensor) -> Tensor:
        layer = self.layers[i]
        if isinstance(layer, Conv):
            return layer.pull(cotangent, self.shapes[i], self.weight(layer))
        return layer.pull(cotangent, self.selected[i], self.shapes[i])

    def weight(self, layer: Conv) -> Tensor:
        """In the precision of the pass."""
        weight: Any = self.weights[2 * layer.number]
        return weight


class _Forward(torch.autograd.Function):
    """Value of the trunk in at least float32; backward is the one adjoint pass, for loss and curvature together."""

    @staticmethod
    def forward(ctx: Any, run: Pass, value: Tensor, *originals: Tensor) -> Tensor:
        ctx.run, ctx.wants_input = run, value.requires_grad
        ctx.dtype = value.dtype
        value = value.to(run.dtype)
        for layer in run.layers:
            run.shapes.append(value.shape)
            if isinstance(layer, Conv):
                n = 2 * layer.number
                run.inputs.append(value if run.trains[n] else None)
                run.selected.append(None)
                value = layer.forward(value, run.weight(layer), run.weights[n + 1])
            else:
                run.inputs.append(None)
                value, selected = layer.forward(value)
                run.selected.append(selected)
        return value.float() if run.halves else value

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        run: Pass = ctx.run
        gradients: list[Tensor | None] = [None] * len(run.originals)
        until = 0 if ctx.wants_input else run.lowest_trained()
        scale = _sizes(cotangent).max() / HEADROOM if run.halves else 1.0
        for i, layer, g in run.down((cotangent / scale).to(run.dtype), until):
            if isinstance(layer, Conv):
                n = 2 * layer.number
                if run.trains[n]:
                    gradient = layer.weight_gradient(g, run.inputs[i], run.weight(layer))
                    gradients[n] = gradient.to(run.kinds[n]) * scale if run.halves else gradient
                if run.trains[n + 1]:
                    gradients[n + 1] = g.sum((0, 2, 3), dtype=run.kinds[n + 1]) * scale
        pulled = (run.pull_layer(0, g).to(ctx.dtype) * scale) if ctx.wants_input else None
        return None, pulled, *gradients


class _Pull(torch.autograd.Function):
    """J^T; backward pushes a tangent through J and takes the weight gradients of <pulled, tangent> on the way.

    Half precision sees cotangents and tangents of one size only, and the sizes come back in float32: the gradient may
    be small, and the penalty's tangent shrinks with the cube of its norm, below what a half can hold.
    """

    @staticmethod
    def forward(ctx: Any, run: Pass, cotangent: Tensor, *originals: Tensor) -> Tensor:
        ctx.run, ctx.dtype = run, cotangent.dtype
        ctx.scale = _sizes(cotangent) / HEADROOM if run.halves else None
        start = cotangent / ctx.scale.view(-1, 1) if run.halves else cotangent
        for i, layer, g in run.down(start.to(run.dtype), 0):
            if isinstance(layer, Conv) and run.trains[2 * layer.number]:
                run.cotangents[i] = g
        pulled = run.pull_layer(0, g)
        return pulled.float() * ctx.scale.view(-1, 1, 1, 1) if run.halves else pulled

    @staticmethod
    def backward(ctx: Any, tangent: Tensor) -> tuple[Any, ...]:
        run: Pass = ctx.run
        gradients: list[Tensor | None] = [None] * len(run.originals)
        if run.halves:
            sizes = _sizes(tangent)
            factors = sizes * ctx.scale
            share, largest = (factors / factors.max()).view(-1, 1, 1, 1).to(run.dtype), factors.max()
            tangent = (tangent / sizes.view(-1, 1, 1, 1)).to(run.dtype)
        t = tangent
        for i, layer in enumerate(run.layers):
            if isinstance(layer, Conv):
                n, weight = 2 * layer.number, run.weight(layer)
                if run.trains[n]:
                    g = run.cotangents.pop(i)
                    gradient = layer.weight_gradient(g * share if run.halves else g, t, weight)
                    gradients[n] = gradient.to(run.kinds[n]) * largest if run.halves else gradient
                t = layer.push(t, weight)
            else:
                t = layer.push(t, run.selected[i])
        if run.halves:
            t = t.float() * sizes.view(-1, 1)
        return None, t.to(ctx.dtype), *gradients


def _sizes(value: Tensor) -> Tensor:
    """Largest magnitude of each sample (N,) in float32, never zero. A norm's squares would leave float32's range."""
    return value.float().flatten(1).abs().amax(1).clamp_min(1e-30)


def _fused(leaves: Sequence[nn.Module]) -> Iterator[Layer]:
    """The layers of ``leaves``, a ReLU and the max pool after it as one."""
    number = 0
    queue = list(leaves)
    while queue:
        leaf = queue.pop(0)
        if isinstance(leaf, nn.Conv2d):
            yield _conv(leaf, number)
            number += 1
        elif isinstance(leaf, nn.ReLU) and queue and isinstance(queue[0], nn.MaxPool2d):
            yield _max_pool(queue.pop(0), after_relu=True)
        elif isinstance(leaf, nn.ReLU | nn.LeakyReLU):
            yield Leak(leaf.negative_slope if isinstance(leaf, nn.LeakyReLU) else 0.0)
        elif isinstance(leaf, nn.MaxPool2d):
            yield _max_pool(leaf, after_relu=False)
        elif isinstance(leaf, nn.AvgPool2d):
            yield _average_pool(leaf)
        else:
            raise _unknown(leaf)
    yield GlobalMax()


def _conv(module: nn.Conv2d, number: int) -> Conv:
    plain = module.groups == 1 and _pair(module.dilation) == (1, 1) and module.padding_mode == "zeros"
    if not plain or isinstance(module.padding, str):
        raise _unknown(module)
    return Conv(number, _pair(module.stride), _pair(module.padding))


def _max_pool(module: nn.Module, after_relu: bool) -> ReluPool:
    names = ("kernel_size", "stride", "padding", "dilation")
    kernel, stride, padding, dilation = (_pair(getattr(module, name)) for name in names)
    plain = kernel == stride and kernel[0] == kernel[1] and padding == (0, 0) and dilation == (1, 1)
    if not plain or module.ceil_mode:
        raise _unknown(module)
    return ReluPool(kernel[0], after_relu)


def _average_pool(module: nn.AvgPool2d) -> AveragePool:
    if _pair(module.padding) != (0, 0) or module.ceil_mode or module.divisor_override is not None:
        raise _unknown(module)
    return AveragePool(_pair(module.kernel_size), _pair(module.stride))


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _unknown(module: nn.Module) -> UserError:
    return UserError(
        f"the fast penalty does not know {module}; it takes convolutions, ReLU, leaky ReLU, and max and average pools "
        "without overlap or padding. Use --compute.penalty reference"
    )
