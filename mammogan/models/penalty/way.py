"""How a critic is differentiated; none of it changes the result beyond rounding."""

from __future__ import annotations

from dataclasses import dataclass

from mammogan.config import ComputeConfig


@dataclass(frozen=True)
class Way:
    """``method`` fast or reference; for fast, ``kernels`` of our own on CUDA, and ``recompute`` to save memory."""

    method: str = "fast"
    kernels: bool = True
    recompute: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("fast", "reference"):
            raise ValueError(f"penalty method {self.method!r}: expected fast or reference")

    @classmethod
    def of(cls, compute: ComputeConfig) -> Way:
        return cls(compute.penalty, compute.kernels, compute.recompute)


FAST = Way()
