"""The convolutional part of a critic as a chain of layers with explicit jvp and vjp; other layers are refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from mammogan.errors import UserError
from mammogan.models.penalty.autograd import Pass
from mammogan.models.penalty.layers import AveragePool, Conv, GlobalMax, Layer, Leak, PooledConv, ReluPool
from mammogan.models.penalty.options import FAST, PenaltyMethod


class Trunk:
    """A chain of modules, followed by a global max pool if ``closed``.

    It holds no weights: each pass reads those of the modules. Raises UserError for modules that it does not support.
    """

    def __init__(self, *modules: nn.Module, closed: bool = True) -> None:
        leaves = [leaf for module in modules for leaf in _leaves(module)]
        self.convs = [leaf for leaf in leaves if type(leaf) is nn.Conv2d]
        self.layers = [*_fused(leaves), *([GlobalMax()] if closed else [])]

    def run(
        self, value: Tensor, options: PenaltyMethod = FAST, replayed: Pass | None = None, together: int | None = None
    ) -> Pass:
        """Run one forward pass over (N,C,H,W). Under autocast it computes in half precision.

        ``replayed`` is an earlier pass over images of the same shape, whose selections are reused. ``together`` is the
        number of images processed at a time; None chooses it from their size.
        """
        return Pass(self.layers, self.weights(), value, options, replayed, together)

    def weights(self) -> list[Tensor | None]:
        """Return weight and bias of every convolution, in order."""
        return [parameter for conv in self.convs for parameter in (conv.weight, conv.bias)]


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the modules of a chain, in order. Only an nn.Sequential is known to be a chain of its children."""
    if _has_hooks(module):
        raise _unknown(module)
    if type(module) is nn.Sequential:
        for child in module:
            yield from _leaves(child)
    else:
        yield module


def _has_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks or parametrisations (such as weight norm), which the trunk would ignore."""
    return bool(module._forward_hooks or module._forward_pre_hooks or is_parametrized(module))


def _fused(leaves: Sequence[nn.Module]) -> Iterator[Layer]:
    """Yield the layers for ``leaves``, fusing a ReLU with the max pool after it and the convolution before them."""
    number = 0
    queue = list(leaves)
    while queue:
        leaf = queue.pop(0)
        if type(leaf) is nn.Conv2d:
            conv, pool = _conv(leaf, number), _next_pool(queue)
            yield PooledConv(conv, pool) if pool else conv
            number += 1
        elif isinstance(leaf, nn.ReLU | nn.MaxPool2d):
            queue.insert(0, leaf)
            pool = _next_pool(queue)
            yield pool or Leak(0.0)
            if not pool:
                queue.pop(0)
        elif isinstance(leaf, nn.LeakyReLU) and leaf.negative_slope >= 0:
            yield Leak(leaf.negative_slope)
        elif isinstance(leaf, nn.AvgPool2d):
            yield _average_pool(leaf)
        else:
            raise _unknown(leaf)


def _next_pool(queue: list[nn.Module]) -> ReluPool | None:
    """Take a max pool, with a ReLU before it or not, from the front of ``queue``; None if there is none."""
    relu = bool(queue) and isinstance(queue[0], nn.ReLU)
    rest = queue[relu:]
    if not rest or not isinstance(rest[0], nn.MaxPool2d):
        return None
    pool = _max_pool(rest[0], relu)
    del queue[: relu + 1]
    return pool


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
        f"the fast penalty does not support {module}; it takes convolutions, ReLU, leaky ReLU, and max and average "
        "pools without overlap or padding. Use --compute.penalty reference"
    )
