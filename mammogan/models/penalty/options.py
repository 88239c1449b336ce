"""Options for differentiating a critic; none of them changes the result beyond rounding."""

from __future__ import annotations

from dataclasses import dataclass

from mammogan.config import ComputeConfig


@dataclass(frozen=True)
class PenaltyMethod:
    """How the penalty is computed: ``method`` is fast or reference; the other options affect fast only.

    ``kernels`` uses the fused kernels on CUDA. ``recompute`` saves memory by computing values twice. ``staged``
    makes some gradients complete earlier, which pays off when they are then averaged over ranks.
    """

    method: str = "fast"
    kernels: bool = True
    recompute: bool = False
    staged: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("fast", "reference"):
            raise ValueError(f"penalty method {self.method!r}: expected fast or reference")

    @classmethod
    def of(cls, compute: ComputeConfig, staged: bool = False) -> PenaltyMethod:
        """Take the options from ``compute``."""
        return cls(compute.penalty, compute.kernels, compute.recompute, staged)


FAST = PenaltyMethod()
