"""Check that the weights of a file can be those of a network: PyTorch casts whole and complex numbers silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

NO_NUMBERS = "has values that are no numbers (NaN or infinite)"


def fill(network: nn.Module, weights: Mapping[str, Any]) -> None:
    """Load weights strictly. Raise RuntimeError for those of another network, ValueError for another kind of number."""
    wanted = network.state_dict()
    for name in wanted.keys() & weights.keys():
        if isinstance(weights[name], Tensor) and (fault := _fault_of_kind(weights[name], wanted[name])):
            raise ValueError(f"{name} {fault}")
    network.load_state_dict(weights)


def faults_of(weights: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield what is wrong with each weight that is wanted and there: no tensor, its shape, its kind, its values."""
    for name, own in wanted.items():
        if name in weights and (fault := _fault(weights[name], own)):
            yield f"{name} {fault}"


def no_number_in(held: Any, infinite: bool = False, name: str = "") -> str:
    """Return the name of the first tensor with NaN, or with infinity unless that is allowed, in tensors, mappings and
    lists of them; "" if there is none."""
    if isinstance(held, Tensor):
        sound = not held.isnan().any() if infinite else held.isfinite().all()
        return "" if not (held.is_floating_point() or held.is_complex()) or sound else name
    parts = held.items() if isinstance(held, Mapping) else enumerate(held) if isinstance(held, list | tuple) else ()
    below = (no_number_in(part, infinite, f"{name}.{key}" if name else str(key)) for key, part in parts)
    return next((found for found in below if found), "")


def _fault(found: Any, own: Tensor) -> str:
    if not isinstance(found, Tensor):
        return f"is a {type(found).__name__}, expected a tensor"
    if found.shape != own.shape:
        return f"has shape {tuple(found.shape)}, expected {tuple(own.shape)}"
    if fault := _fault_of_kind(found, own):
        return fault
    return NO_NUMBERS if no_number_in(found, name="it") else ""


def _fault_of_kind(found: Tensor, own: Tensor) -> str:
    """Any floating point is cast to the network's; whole or complex numbers are not, which would lose what they say."""
    if (found.is_floating_point(), found.is_complex()) == (own.is_floating_point(), own.is_complex()):
        return ""
    return f"holds {found.dtype}, expected {'floating point' if own.is_floating_point() else own.dtype}"
