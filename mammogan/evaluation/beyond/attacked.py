"""The images of one attack on the originals, and how large its changes are, always in both norms."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from mammogan.evaluation.beyond.originals import Bools, Originals
from mammogan.evaluation.victims.image_set import ImageSet, Pixels, set_in_memory

Kind = Literal["generator", "baseline", "control"]


@dataclass(frozen=True)
class Attacked:
    """Images of one attack, in the order of the originals; where it made none, the original stands."""

    name: str
    """Title of its row, such as "GAN" or "pgd-l2 256"."""
    kind: Kind
    originals: Originals
    pixels: Pixels
    """uint16 (N,H,W)."""
    made: Bools
    """Which images the attack made, (N,)."""

    @cached_property
    def as_set(self) -> ImageSet:
        """The images that the attack made; hashed once, however many thresholds and victims ask."""
        every = zip(self.originals.samples, self.pixels, self.made, strict=True)
        return set_in_memory(self.name, [replace(real, pixels=new) for real, new, made in every if made])

    def norms(self) -> dict[str, float]:
        """Return the size of the changes in grey levels of 65535: largest pixel (Linf) and root mean square over the
        image (rms), each as the median and the largest of the images."""
        change = [
            new.astype(np.int64) - old
            for new, old, made in zip(self.pixels, self.originals.pixels, self.made, strict=True)
            if made
        ]
        if not change:
            return dict.fromkeys(("linf_median", "linf_largest", "rms_median", "rms_largest"), 0.0)
        largest = np.array([np.abs(one).max() for one in change], dtype=float)
        rms = np.array([np.sqrt(np.mean(one.astype(float) ** 2)) for one in change])
        return {
            "linf_median": float(np.median(largest)),
            "linf_largest": float(largest.max()),
            "rms_median": float(np.median(rms)),
            "rms_largest": float(rms.max()),
        }
