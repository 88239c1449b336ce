"""Measure controls: changes that fool the CAD without attacking the lesion, to compare the generator's fooled rate
with.

Small changes can be enough to turn a CAD's call. A fooled rate says something about removal only in comparison with
these: the lesion-free twin (perfect removal), less contrast everywhere, gradient descent on the CAD itself, and a
generator that was trained to change nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mammogan.attack.methods import NetworkAttack
from mammogan.attack.original_background import with_original_background
from mammogan.data.blobs.blob_detector import breast_of
from mammogan.data.shards.reader import Sample
from mammogan.evaluation.lesion.control_task import ControlTask
from mammogan.evaluation.phantom_truth import LesionTruth, PhantomTruth, Removal, compare_with_truth
from mammogan.evaluation.scores import probabilities
from mammogan.evaluation.scores_file import keep, understood
from mammogan.models.networks import Critic
from mammogan.training.run.checkpoint_files import check_same_file
from mammogan.training.run.trained_networks import load_generator_with_facts

Pixels = NDArray[np.uint16]

CONTRAST = 0.8
STEPS = 3
BUDGETS = {"l2-1": 1.0, "l2-2": 2.0}
"""L2 norm of the complete change, of pixels in [0,1], for an image of BUDGET_PIXELS pixels."""
BUDGET_PIXELS = 192 * 160
TWIN, CONTRAST_CONTROL, IDENTITY = "twin", "contrast", "identity"
NAMES = (TWIN, CONTRAST_CONTROL, *BUDGETS, IDENTITY)


@dataclass(frozen=True)
class ControlScore:
    """The result of one control on one positive mammogram."""

    key: str
    """Key of the real mammogram."""
    control: str
    probability: float
    """The CAD's probability of cancer for the control's image."""
    removal: Removal | None

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ControlScore:
        return cls(**values | {"removal": Removal(**values["removal"]) if values["removal"] else None})


def scores_of(task: ControlTask) -> list[ControlScore]:
    """Return the measured controls of a shard."""
    return understood(task.path, ControlScore.from_json, task.read()[1])


def measure_controls(task: ControlTask, cad: Critic, truth: PhantomTruth) -> bool:
    """Measure all controls of a shard. Return False, and change nothing, if they exist and are current."""
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
    reals: Sequence[Sample], known: Sequence[LesionTruth | None], cad: Critic, gnet: nn.Module | None
) -> Iterator[ControlScore]:
    makers: dict[str, Callable[[], list[Pixels | None]]] = {
        TWIN: lambda: [truth.twin if truth else None for truth in known],
        CONTRAST_CONTROL: lambda: [less_contrast(real.pixels) for real in reals],
        **{name: partial(_gradient_descent_images, reals, cad, budget) for name, budget in BUDGETS.items()},
    }
    if gnet is not None:
        makers[IDENTITY] = lambda: _reproduced(reals, gnet)
    for name, make in makers.items():
        made = [(r, t, pixels) for r, t, pixels in zip(reals, known, make(), strict=True) if pixels is not None]
        after = probabilities(cad, [dataclasses.replace(real, pixels=pixels) for real, _, pixels in made])
        for (real, truth, pixels), p in zip(made, after, strict=True):
            removal = compare_with_truth(real.pixels, pixels, truth) if truth else None
            yield ControlScore(real.key, name, p, removal)


def less_contrast(pixels: Pixels, factor: float = CONTRAST) -> Pixels:
    """Return a mammogram, uint16 (H,W), with the breast's contrast about its mean multiplied by ``factor``; air is
    kept."""
    breast = breast_of(pixels)
    changed = pixels.copy()
    inside = pixels[breast].astype(float)
    if inside.size:
        changed[breast] = np.rint(inside.mean() + factor * (inside - inside.mean()))
    return changed


def descend(pixels: Pixels, cad: Critic, budget: float, steps: int = STEPS) -> Pixels:
    """Return mammograms, uint16 (N,H,W), after gradient descent in the breast on the CAD's margin, positive minus
    negative logit.

    After step k of n the change lies on the sphere with k/n of the ``budget`` (L2 norm, pixels in [0,1]). At the end
    its norm is the budget, except for rounding to 16 bits and clipping to [0,1]. Without a gradient nothing changes.
    """
    device = next(cad.parameters()).device
    real = torch.from_numpy(pixels.astype(np.float32) / 65535)[:, None].to(device)
    breast = torch.from_numpy(np.stack([breast_of(one) for one in pixels]))[:, None].to(device)
    changed = real.clone()
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        for step in range(1, steps + 1):
            current = changed.requires_grad_(True)
            logits = cad(current)
            (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), current)
            moved = changed.detach() - real - budget / steps * _normalised(gradient * breast)
            changed = (real + _normalised(moved) * (budget * step / steps)).clamp(0, 1)
    made = torch.where(breast, (changed.double() * 65535).round(), real.double() * 65535)
    return made[:, 0].round().cpu().numpy().astype(np.uint16)


def _normalised(change: torch.Tensor) -> torch.Tensor:
    """Scale each image's change to norm 1; a change of 0 stays 0."""
    norm = change.square().sum((1, 2, 3), keepdim=True).sqrt()
    return change / norm.clamp(min=1e-12)


def _gradient_descent_images(reals: Sequence[Sample], cad: Critic, budget: float) -> list[Pixels | None]:
    """Apply ``descend``. With more pixels than BUDGET_PIXELS the same change has a larger norm, so the budget is
    scaled."""
    pixels = np.stack([real.pixels for real in reals])
    return list(descend(pixels, cad, budget * math.sqrt(pixels[0].size / BUDGET_PIXELS)))


def _reproduced(reals: Sequence[Sample], gnet: nn.Module) -> list[Pixels | None]:
    pixels = torch.from_numpy(np.stack([real.pixels for real in reals]))[:, None]
    made = NetworkAttack(gnet).alter(pixels, [real.facts for real in reals])[:, 0].numpy()
    return [with_original_background(real.pixels, one, "original") for real, one in zip(reals, made, strict=True)]


def _load_identity(task: ControlTask, cad: Critic) -> nn.Module:
    """Load exactly the generator that was planned, on the CAD's device. Raise UserError if its file has changed
    since."""
    checkpoint = task.identity
    if checkpoint is None:
        raise ValueError("no identity-trained generator was planned with")
    gnet, found = load_generator_with_facts(
        checkpoint.parent.parent, next(cad.parameters()).device, which=str(checkpoint)
    )
    check_same_file(checkpoint, found.sha256, task.made_from["identity_sha256"])
    return gnet
