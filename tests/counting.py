"""What a step asks of the machine, counted on meta tensors: no kernel runs, so the counts are free of noise.

FLOPs of convolutions, bytes read and written if every operation moves each of its operands once, peak of live storage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

EMPTY = ("empty", "new_empty", "empty_like", "new_empty_strided", "empty_strided", "detach", "expand", "alias")


@dataclass
class Counted:
    conv_flops: int = 0
    moved: Counter[str] = field(default_factory=Counter)
    peak: int = 0

    @property
    def bytes(self) -> int:
        return sum(self.moved.values())


class Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counted = Counted()
        self.live: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        taken = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        given = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        self._watch(given)
        storages = {t.untyped_storage()._cdata for t in taken}
        writes = name.endswith("_") or "out" in (kwargs or {})
        only_a_view = not writes and all(t.untyped_storage()._cdata in storages for t in given)
        if given and not only_a_view and name not in EMPTY:
            self._count(name, args, taken, given)
        return out

    def _watch(self, given: list[Tensor]) -> None:
        for tensor in given:
            storage = tensor.untyped_storage()
            self.live.setdefault(storage._cdata, (StorageWeakRef(storage), storage.nbytes()))
        self.live = {key: pair for key, pair in self.live.items() if not pair[0].expired()}
        self.counted.peak = max(self.counted.peak, sum(size for _, size in self.live.values()))

    def _count(self, name: str, args: Any, taken: list[Tensor], given: list[Tensor]) -> None:
        if name == "convolution_backward":
            g, value, weight, wants = args[0], args[1], args[2], args[10]
            a_gradient = _size(g) + value.numel() * value.element_size() + _size(weight)
            self.counted.moved[name] += (wants[0] + wants[1]) * a_gradient
            self.counted.conv_flops += (wants[0] + wants[1]) * 2 * g.numel() * weight[0].numel()
            return
        if name == "convolution":
            self.counted.conv_flops += 2 * given[0].numel() * args[1][0].numel()
        self.counted.moved[name] += sum(map(_size, taken + given))


def count(step: Callable[[], object]) -> Counted:
    """What ``step`` asks for; storage that was there before does not count."""
    with Counting() as counting:
        step()
    return counting.counted


def _size(tensor: Tensor) -> int:
    """Bytes of memory behind a tensor: one of expanded values has fewer than it shows."""
    shown = tensor.numel() * tensor.element_size()
    return min(shown, tensor.untyped_storage().nbytes()) if 0 in tensor.stride() else shown


def conv_flops(module: torch.nn.Module, shape: tuple[int, ...]) -> list[int]:
    """FLOPs of each convolution of ``module`` in one forward pass over (N,C,H,W)."""
    found: list[int] = []

    def hook(layer: Any, taken: Any, given: Tensor) -> None:
        found.append(2 * given.numel() * layer.weight[0].numel())

    handles = [m.register_forward_hook(hook) for m in module.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        module(torch.empty(shape, device="meta"))
    for handle in handles:
        handle.remove()
    return found
