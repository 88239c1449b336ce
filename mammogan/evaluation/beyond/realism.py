"""How close is an image to its original, and how like a mammogram? Measures within the breast, and a distance of sets.

Two thirds of a mammogram are air, so whole-image figures flatter. The kernel distance is unbiased also for few images,
where the Frechet distance is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from mammogan.models.networks import IMAGENET_MEAN, IMAGENET_STD, build_vnet
from mammogan.models.vgg_weights import load_vgg_weights

Pixels = NDArray[np.uint16]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SSIM_SIGMA, SSIM_K1, SSIM_K2 = 1.5, 0.01, 0.03
"""Wang et al. 2004: Gaussian window and constants, for pixels in [0,1]."""
PATCH_SHARE = 12
"""Side of a flat patch: the image's height over this, at least LEAST_PATCH pixels."""
LEAST_PATCH = 8
FLATTEST = 0.25
"""Share of the breast's patches that count as flat."""
RANDOM_WIDTH, RANDOM_SEED = 0.25, 0
PERMUTATIONS = 500


def psnr(real: Pixels, adversarial: Pixels, breast: Mask) -> float:
    """Return the peak signal-to-noise ratio in dB within the breast, peak 65535; infinite for equal images."""
    change = adversarial[breast].astype(np.float64) - real[breast]
    mean = float((change**2).mean()) if change.size else 0.0
    return math.inf if mean == 0 else 10 * math.log10(65535**2 / mean)


def ssim(real: Pixels, adversarial: Pixels, breast: Mask) -> float:
    """Return the structural similarity, averaged over the breast, with a Gaussian window of 1.5 pixels."""
    x, y = (image.astype(np.float64) / 65535 for image in (real, adversarial))

    def local(values: Floats) -> Floats:
        found: Floats = ndimage.gaussian_filter(values, SSIM_SIGMA, truncate=3.5)
        return found

    mean_x, mean_y = local(x), local(y)
    var_x, var_y = local(x * x) - mean_x**2, local(y * y) - mean_y**2
    covariance = local(x * y) - mean_x * mean_y
    c1, c2 = SSIM_K1**2, SSIM_K2**2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    return float((above / below)[breast].mean()) if breast.any() else math.nan


def flat_patches(real: Pixels, breast: Mask) -> list[tuple[slice, slice]]:
    """Return the patches of the breast with the least structure: the flattest quarter by the range of their smoothed
    grey. They are chosen on the original, so that an attack's image is measured at the same places."""
    side = max(LEAST_PATCH, real.shape[0] // PATCH_SHARE)
    smooth = ndimage.gaussian_filter(real.astype(np.float32), side / 4)
    found = []
    for top in range(0, real.shape[0] - side + 1, side):
        for left in range(0, real.shape[1] - side + 1, side):
            place = slice(top, top + side), slice(left, left + side)
            if breast[place].all():
                found.append((float(np.ptp(smooth[place])), place))
    found.sort(key=lambda one: one[0])
    return [place for _, place in found[: max(1, round(FLATTEST * len(found)))]] if found else []


def noise_power(image: Pixels, patches: Iterable[tuple[slice, slice]]) -> float | None:
    """Return the noise power in flat patches: the mean squared deviation from a fitted plane, in grey levels of 65535
    squared. It is the integral of the noise power spectrum. None without a patch."""
    powers = []
    for place in patches:
        patch = image[place].astype(np.float64)
        rows, columns = np.indices(patch.shape)
        design = np.stack([np.ones(patch.size), rows.ravel(), columns.ravel()], 1)
        fitted = design @ np.linalg.lstsq(design, patch.ravel(), rcond=None)[0]
        powers.append(float(((patch.ravel() - fitted) ** 2).mean()))
    return float(np.mean(powers)) if powers else None


class Features:
    """Features of images from VGG11, averaged over the image: with given weights, or random ones, which it says.

    They are never those of the CAD: the attacks were made to move them.
    """

    def __init__(self, weights: Path | None = None, device: str = "cpu") -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(RANDOM_SEED)
            self.network = build_vnet(1.0 if weights else RANDOM_WIDTH)
        if weights:
            load_vgg_weights(self.network, str(weights), 1.0)
        self.network.to(device).eval()
        self.device = device
        self.name = "VGG11 with the given weights" if weights else "VGG11 with random weights"

    @torch.no_grad()
    def of(self, images: Iterable[Pixels]) -> Floats:
        """Return the features of images, uint16 (H,W) each -> (N,C)."""
        found = []
        for image in images:
            pixels = torch.from_numpy(image.astype(np.float32) / 65535).to(self.device).expand(1, 3, *image.shape)
            mean, std = (torch.tensor(of, device=self.device).view(1, 3, 1, 1) for of in (IMAGENET_MEAN, IMAGENET_STD))
            found.append(self.network((pixels - mean) / std).mean((2, 3))[0].double().cpu().numpy())
        return np.stack(found)


def kernel_distance(one: Floats, other: Floats) -> float:
    """Return the unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (KID); features (N,d) and
    (M,d), at least two of each."""
    return _distance(_kernel(np.concatenate([one, other])), len(one))


def permutation_p(one: Floats, other: Floats, seed: int = 0, permutations: int = PERMUTATIONS) -> float:
    """Return the share of random divisions of all images that are at least as far apart: a p-value of "the same"."""
    kernel, draws = _kernel(np.concatenate([one, other])), np.random.default_rng(seed)
    found = _distance(kernel, len(one))
    above = 0
    for _ in range(permutations):
        order = draws.permutation(len(kernel))
        above += _distance(kernel[np.ix_(order, order)], len(one)) >= found
    return (above + 1) / (permutations + 1)


def _kernel(features: Floats) -> Floats:
    found: Floats = (features @ features.T / features.shape[1] + 1) ** 3
    return found


def _distance(kernel: Floats, first: int) -> float:
    """Return the distance of the first images to the others, from the kernel of all."""
    m, n = first, len(kernel) - first
    one, other, between = kernel[:m, :m], kernel[m:, m:], kernel[:m, m:]
    within = (one.sum() - np.trace(one)) / (m * (m - 1)) + (other.sum() - np.trace(other)) / (n * (n - 1))
    return float(within - 2 * between.mean())
