"""Where does a change sit: how much of it in the breast, in how small a part of it, and is it where a victim looks?

These measures need no truth. Grad-CAM is not among them: a network that ends in a global maximum pool gives maps that
are zero nearly everywhere.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.errors import UserError
from mammogan.evaluation.victims.victim import HasLogits
from mammogan.models.networks import unit_pixels

Pixels = NDArray[np.uint16]
Map = NDArray[np.float64]
Mask = NDArray[np.bool_]

SMOOTH = 3.0
"""Standard deviation, in pixels of an image 192 pixels high, of the Gaussian that smooths gradients and changes."""
TOP = 0.05
"""Share of the breast that is compared in ``overlap``."""


def energy_of(real: Pixels, adversarial: Pixels) -> Map:
    """Return the squared change of each pixel, (H,W), of pixels in [0,1]."""
    return ((adversarial.astype(np.float64) - real) / 65535) ** 2


def share_in(energy: Map, region: Mask) -> float | None:
    """Return the share of a change's energy in a region; None if nothing changed."""
    total = float(energy.sum())
    return float(energy[region].sum()) / total if total else None


def compactness(energy: Map, breast: Mask, share: float = 0.5) -> float | None:
    """Return the smallest share of the breast's pixels that holds ``share`` of the change's energy in the breast.

    An even change gives ``share``; one pixel gives nearly 0. None if nothing changed in the breast.
    """
    inside = np.sort(energy[breast])[::-1]
    total = float(inside.sum())
    if not total:
        return None
    needed = int(np.searchsorted(np.cumsum(inside), share * total * (1 - 1e-12))) + 1
    return needed / len(inside)


def input_gradient(victim: HasLogits, images: Pixels) -> Map:
    """Return |d margin / d pixel| of each image, uint16 (N,H,W) -> (N,H,W); the margin is positive minus negative
    logit."""
    variable = unit_pixels(torch.from_numpy(images)[:, None]).requires_grad_(True)
    with torch.enable_grad():
        logits = victim.logits(variable)
        (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), variable)
    return gradient[:, 0].abs().double().cpu().numpy()


def smoothed(values: Map) -> Map:
    """Smooth a map (H,W) by the same share of its height at every resolution."""
    found: Map = ndimage.gaussian_filter(values, SMOOTH * values.shape[0] / 192)
    return found


def top_pixels(values: Map, breast: Mask, share: float = TOP) -> Mask:
    """Return the pixels of the breast with the highest values, exactly round(share * pixels of the breast) of them.

    Raise UserError for a map that is constant in the breast: it has no highest pixels.
    """
    inside = values[breast]
    if not inside.size or inside.max() == inside.min():
        raise UserError("expected a map that differs within the breast, found one that is constant there")
    chosen = np.argsort(inside, kind="stable")[::-1][: max(1, round(share * inside.size))]
    found = np.zeros(inside.size, bool)
    found[chosen] = True
    mask = np.zeros(values.shape, bool)
    mask[breast] = found
    return mask


def overlap(one: Map, other: Map, breast: Mask, share: float = TOP) -> float:
    """Return intersection over union of the highest pixels of two maps in the breast. Raise UserError if one is
    constant."""
    first, second = top_pixels(one, breast, share), top_pixels(other, breast, share)
    return float((first & second).sum() / (first | second).sum())


def overlap_by_chance(share: float = TOP) -> float:
    """Return about what ``overlap`` gives for two maps that have nothing to do with each other."""
    return share / (2 - share)
