"""What fools the CAD without being an attack on the lesion: the rows beside which a fooled rate has to be read.

A CAD can be turned by a touch. A rate of fooled calls says something of removal only where these are told apart: the
lesion-free twin (perfect removal), less contrast everywhere, gradient descent on the CAD itself, and a generator that
was trained to change nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mammogan.attack.background import as_saved
from mammogan.attack.kept import keep, read_kept
from mammogan.attack.methods import NetworkAttack
from mammogan.attack.scores import probabilities
from mammogan.attack.truth import LesionTruth, PhantomTruth, Removal, compare_with_truth
from mammogan.attack.whole import WholeShard
from mammogan.data.blob_detector import breast_of
from mammogan.data.stream import Sample
from mammogan.models.networks import Cad
from mammogan.training.checkpoint import load_gnet, refuse_another

Pixels = NDArray[np.uint16]

CONTROLS = 2
"""Counts up when the same inputs give other scores of controls."""
CONTRAST = 0.8
STEPS = 3
BUDGETS = {"l2-1": 1.0, "l2-2": 2.0}
"""L2 norms of the whole change, of pixels in [0,1], in a picture of BUDGET_PIXELS."""
BUDGET_PIXELS = 192 * 160
TWIN, DIMMED, IDENTITY = "twin", "contrast", "identity"
NAMES = (TWIN, DIMMED, *BUDGETS, IDENTITY)


@dataclass(frozen=True)
class ControlScore:
    """One positive mammogram under one control."""

    key: str
    """Of the real mammogram."""
    control: str
    probability: float
    """The CAD's, of the control's adversarial image."""
    removal: Removal | None

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ControlScore:
        return cls(**values | {"removal": Removal(**values["removal"]) if values["removal"] else None})


@dataclass(frozen=True)
class ControlTask:
    """The controls of one shard of positives; small enough to be pickled for a cluster."""

    shard: WholeShard
    path: Path
    """Where their scores are kept."""
    made_from: dict[str, Any]
    """All that decides them, the CAD included."""
    identity: Path | None
    """Checkpoint of a generator at the end of its identity phase; None where none was kept."""
    batch: int = 4

    def read(self) -> tuple[str, list[dict[str, Any]]]:
        """Why they have to be measured, empty when they are there and current; and the scores that are there."""
        return read_kept(self.path, self.made_from)

    def scores(self) -> list[ControlScore]:
        return [ControlScore.from_json(values) for values in self.read()[1]]


def measure_controls(task: ControlTask, cad: Cad, truth: PhantomTruth) -> bool:
    """Measure all controls of a shard; False, and nothing is touched, when they are there and current."""
    if not task.read()[0]:
        return False
    gnet = _load_identity(task, cad) if task.identity else None
    reals, scores = iter(task.shard), []
    while several := list(islice(reals, task.batch)):
        known = [truth.of(real.key, real.facts) for real in several]
        scores += list(_scores(several, known, cad, gnet))
    keep(task.path, task.made_from, [dataclasses.asdict(score) for score in scores])
    return True


def _scores(
    reals: Sequence[Sample], known: Sequence[LesionTruth | None], cad: Cad, gnet: nn.Module | None
) -> Iterator[ControlScore]:
    makers: dict[str, Callable[[], list[Pixels | None]]] = {
        TWIN: lambda: [truth.twin if truth else None for truth in known],
        DIMMED: lambda: [less_contrast(real.pixels) for real in reals],
        **{name: partial(_descended, reals, cad, budget) for name, budget in BUDGETS.items()},
    }
    if gnet is not None:
        makers[IDENTITY] = lambda: _altered(reals, gnet)
    for name, make in makers.items():
        made = [(r, t, pixels) for r, t, pixels in zip(reals, known, make(), strict=True) if pixels is not None]
        after = probabilities(cad, [dataclasses.replace(real, pixels=pixels) for real, _, pixels in made])
        for (real, truth, pixels), p in zip(made, after, strict=True):
            removal = compare_with_truth(real.pixels, pixels, truth) if truth else None
            yield ControlScore(real.key, name, p, removal)


def less_contrast(pixels: Pixels, factor: float = CONTRAST) -> Pixels:
    """A mammogram, uint16 (H,W), whose breast has ``factor`` times its contrast about its mean; the air is kept."""
    breast = breast_of(pixels)
    changed = pixels.copy()
    inside = pixels[breast].astype(float)
    if inside.size:
        changed[breast] = np.rint(inside.mean() + factor * (inside - inside.mean()))
    return changed


def descend(pixels: Pixels, cad: Cad, budget: float, steps: int = STEPS) -> Pixels:
    """Mammograms, uint16 (N,H,W), after gradient descent in the breast on the CAD's margin, positive minus negative
    logit.

    After step k of n the change lies on the sphere of k/n of the ``budget`` (L2 norm, pixels in [0,1]): at the end its
    norm is the budget, but for rounding to 16 bits and what would leave [0,1]. Without a gradient nothing changes.
    """
    device = next(cad.parameters()).device
    real = torch.from_numpy(pixels.astype(np.float32) / 65535)[:, None].to(device)
    breast = torch.from_numpy(np.stack([breast_of(one) for one in pixels]))[:, None].to(device)
    changed = real.clone()
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        for step in range(1, steps + 1):
            asked = changed.requires_grad_(True)
            logits = cad(asked)
            (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), asked)
            moved = changed.detach() - real - budget / steps * _normalised(gradient * breast)
            changed = (real + _normalised(moved) * (budget * step / steps)).clamp(0, 1)
    made = torch.where(breast, (changed.double() * 65535).round(), real.double() * 65535)
    return made[:, 0].round().cpu().numpy().astype(np.uint16)


def _normalised(change: torch.Tensor) -> torch.Tensor:
    """Each image's with norm 1; 0 stays 0."""
    norm = change.square().sum((1, 2, 3), keepdim=True).sqrt()
    return change / norm.clamp(min=1e-12)


def _descended(reals: Sequence[Sample], cad: Cad, budget: float) -> list[Pixels | None]:
    """With more pixels than BUDGET_PIXELS the same change has a larger norm, and so has the budget."""
    pixels = np.stack([real.pixels for real in reals])
    return list(descend(pixels, cad, budget * math.sqrt(pixels[0].size / BUDGET_PIXELS)))


def _altered(reals: Sequence[Sample], gnet: nn.Module) -> list[Pixels | None]:
    pixels = torch.from_numpy(np.stack([real.pixels for real in reals]))[:, None]
    made = NetworkAttack(gnet).alter(pixels, [real.key for real in reals])[:, 0].numpy()
    return [as_saved(real.pixels, one, "original") for real, one in zip(reals, made, strict=True)]


def _load_identity(task: ControlTask, cad: Cad) -> nn.Module:
    """The very generator that was planned with, where the CAD is; UserError when its file has changed since."""
    checkpoint = task.identity
    if checkpoint is None:
        raise ValueError("no identity-trained generator was planned with")
    gnet, found = load_gnet(checkpoint.parent.parent, next(cad.parameters()).device, which=str(checkpoint))
    refuse_another(checkpoint, found.sha256, task.made_from["identity_sha256"])
    return gnet
