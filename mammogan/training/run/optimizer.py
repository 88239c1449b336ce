"""One optimiser step: precision, choice of the optimiser, and what to do if gradients are not finite."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mammogan.config import ComputeConfig
from mammogan.errors import UserError
from mammogan.training.parallel.ranks import Ranks

BETAS = (0.5, 0.9)
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Precision:
    """The dtypes of networks: ``half`` under autocast (None: no autocast), ``full`` for weights and everything else."""

    half: torch.dtype | None
    full: torch.dtype
    device: torch.device

    @classmethod
    def choose(cls, wanted: str, device: torch.device) -> Precision:
        """Choose the precision; 'auto' is fp32 on CPU, and on GPUs bf16 if they support it, else fp16."""
        if wanted == "auto" and device.type == "cuda":
            wanted = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(wanted)
        return cls(half, torch.float64 if wanted == "fp64" else torch.float32, device)

    def __str__(self) -> str:
        return str(self.half or self.full).removeprefix("torch.")

    def autocast(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.half is None else torch.autocast(self.device.type, self.half)

    def place(self, network: Network) -> Network:
        """Move ``network`` to the device in full precision; on CUDA as channels last, which is faster there."""
        network.to(self.device, self.full)
        return network.to(memory_format=torch.channels_last) if self.device.type == "cuda" else network  # type: ignore[call-overload]

    def scaler(self) -> torch.amp.GradScaler:
        """Return a loss scaler, which is active for fp16 only."""
        return torch.amp.GradScaler(self.device.type, enabled=self.half is torch.float16)


def choose_optimizer(groups: list[dict[str, Any]], wanted: str, device: torch.device) -> tuple[Any, str]:
    """Return Adam with the study's betas over ``groups``, and which implementation it is: 'torch' or 'apex'.

    'auto' uses apex only if its compiled kernels load and the weights are on CUDA: importing apex alone proves nothing.
    Raises UserError if apex is requested and cannot be used.
    """
    usable = device.type == "cuda" and apex_kernels_load()
    if wanted == "apex" and not usable:
        raise UserError(
            "--compute.optimizer apex: NVIDIA apex with its CUDA kernels (module amp_C) and weights on a GPU are "
            "needed; build apex from its source, or use torch or auto. The package apex on PyPI is an unrelated one"
        )
    if wanted == "apex" or (wanted == "auto" and usable):
        from apex.optimizers import FusedAdam

        return FusedAdam(groups, betas=BETAS, adam_w_mode=False), "apex"
    return torch.optim.Adam(groups, betas=BETAS, fused=device.type != "cpu"), "torch"


def apex_kernels_load() -> bool:
    """Return whether NVIDIA apex's compiled kernels are installed and fit this torch."""
    try:
        import amp_C  # noqa: F401
    except ImportError:
        return False
    return True


class Stepper:
    """Backward and update for one optimiser; steps with gradients that are not finite are skipped and counted.

    Gradients are averaged over the ranks with identical bits on each, so all ranks skip the same steps. torch's Adam on
    a GPU skips them by itself, so no step waits for the device; the count is then checked every ``limit`` steps.
    """

    def __init__(
        self, groups: list[dict[str, Any]], compute: ComputeConfig, precision: Precision, ranks: Ranks
    ) -> None:
        self.optimizer, self.kind = choose_optimizer(groups, compute.optimizer, ranks.device)
        self.scaler = precision.scaler()
        self.ranks, self.limit = ranks, compute.max_nonfinite
        self.counts = torch.zeros(3, dtype=torch.int64, device=ranks.device)
        """Skipped steps: all, the latest ones in a row, and the most in a row."""
        self._steps = 0

    @property
    def skipped(self) -> int:
        """Number of skipped steps. Reading it, or ``in_a_row``, waits for the device."""
        return int(self.counts[0])

    @property
    def in_a_row(self) -> int:
        """Number of the latest steps in a row that were skipped."""
        return int(self.counts[1])

    @property
    def skips_on_device(self) -> bool:
        """Whether the optimiser can skip an update on the device, without the host."""
        return bool(getattr(self.optimizer, "_step_supports_amp_scaling", False))

    def step(self, loss: Tensor) -> Tensor:
        """Run one backward on the total loss and one update.

        Returns a bool on the device: False when the step was skipped. Raises FloatingPointError after too many skipped
        steps in a row.
        """
        self.optimizer.zero_grad()  # sets gradients to None: frozen weights must have none
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        finite = self._finite()
        self._update(finite)
        self.scaler.update()
        self._count(finite)
        return finite

    def learning_rates(self, *rates: float) -> None:
        """Set the learning rate of each group, in the order of the groups."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "skipped": self.skipped,
            "in_a_row": self.in_a_row,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore optimiser, scaler and counts. Raises UserError for a state of another kind of optimiser."""
        if state["kind"] != self.kind:
            raise UserError(
                f"the checkpoint was trained with the {state['kind']} optimiser, and this run would use {self.kind}, "
                f"which keeps another state; resume with --compute.optimizer {state['kind']}"
            )
        groups = state["optimizer"]["param_groups"]
        if self.kind == "torch":  # the saved flag depends on the device of the saving run
            groups = [group | {"fused": self.ranks.device.type == "cuda"} for group in groups]
        self.optimizer.load_state_dict(state["optimizer"] | {"param_groups": groups})
        for weight, moments in self.optimizer.state.items():  # so do the moments' strides
            for name, moment in moments.items():
                if moment.shape == weight.shape:
                    moments[name] = torch.empty_like(weight, dtype=moment.dtype).copy_(moment)
        if state["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.counts.copy_(torch.tensor([state["skipped"], state["in_a_row"], state["in_a_row"]]))

    def _finite(self) -> Tensor:
        """Return a bool on the device: whether all gradients are finite."""
        gradients = [p.grad for g in self.optimizer.param_groups for p in g["params"] if p.grad is not None]
        return torch.stack(torch._foreach_norm(gradients)).isfinite().all()

    def _update(self, finite: Tensor) -> None:
        """Update the weights, unless gradients are not finite."""
        if self.skips_on_device:
            self.optimizer.grad_scale, self.optimizer.found_inf = None, finite.logical_not().float()
            self.optimizer.step()
        elif finite:
            self.optimizer.step()

    def _count(self, finite: Tensor) -> None:
        """Count the step as taken or skipped; raise if too many in a row were skipped."""
        every, in_a_row, most = self.counts.unbind()
        every += finite.logical_not()
        in_a_row.add_(1).mul_(finite.logical_not())
        torch.maximum(most, in_a_row, out=most)
        self._steps += 1
        if not self.skips_on_device or self._steps % self.limit == 0:
            self._refuse_too_many(int(most))

    def _refuse_too_many(self, in_a_row: int) -> None:
        if in_a_row >= self.limit:
            raise FloatingPointError(
                f"{in_a_row} steps in a row had gradients that are not finite; the newest checkpoint is good. "
                "Try --compute.precision fp32, or a lower learning rate"
            )


def generator_for(*place: int | str) -> torch.Generator:
    """Return a CPU generator seeded by (seed, epoch, batch, purpose); all random draws use one, none is global."""
    numbers = [int.from_bytes(p.encode(), "little") if isinstance(p, str) else p for p in place]
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)
