"""How a critic is differentiated; none of it changes the result beyond rounding."""

from __future__ import annotations

from dataclasses import dataclass

from mammogan.config import ComputeConfig


@dataclass(frozen=True)
class Way:
    """``method`` fast or reference; for fast, ``kernels`` of our own on CUDA, ``recompute`` to save memory, and
    ``in_stretches`` to have gradients complete sooner, which pays where they are then averaged over ranks."""

    method: str = "fast"
    kernels: bool = True
    recompute: bool = False
    in_stretches: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("fast", "reference"):
            raise ValueError(f"penalty method {self.method!r}: expected fast or reference")

    @classmethod
    def of(cls, compute: ComputeConfig, in_stretches: bool = False) -> Way:
        return cls(compute.penalty, compute.kernels, compute.recompute, in_stretches)


FAST = Way()
