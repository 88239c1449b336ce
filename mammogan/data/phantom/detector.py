"""Simulate the X-ray detector: from attenuation to stored pixels, with noise, thickness equalisation and tone curve."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from mammogan.data.phantom.texture import Field

FAT, GLAND, SKIN = 0.0456, 0.0802, 0.084
"""Linear attenuation per mm near 20 keV (Johns and Yaffe)."""
QUANTA = 2500.0
"""Quanta detected behind fat of full thickness in a pixel of 0.07 mm."""
ELECTRONIC = 5.0
"""Standard deviation of the electronic noise, in quanta, in a pixel of 0.07 mm."""
BLUR_MM = 0.04
BITS = 12
WHITE = 2**BITS - 1

FAT_LEVEL = 700.0
GAIN = 1350.0
"""Increase of the stored value for one unit of attenuation above fat."""
KNEE = 2500.0
"""Level above which the tone curve flattens, so that no pixel reaches white."""
SKIN_FADE_MM = 2.0


def expected_quanta(excess: Field, spacing_mm: float) -> Field:
    """Return the mean count of each pixel, with detector blur; ``excess`` is attenuation over fat of full thickness."""
    quanta = QUANTA * (spacing_mm / 0.07) ** 2 * np.exp(-excess)
    if spacing_mm < 5 * BLUR_MM:
        quanta = ndimage.gaussian_filter(quanta, BLUR_MM / spacing_mm)
    return np.asarray(quanta, dtype=np.float32)


def detect(rng: np.random.Generator, expected: list[Field], spacing_mm: float) -> list[Field]:
    """Add quantum and electronic noise to the counts; all members of ``expected`` get the same random draws."""
    quantum = rng.standard_normal(expected[0].shape, dtype=np.float32)
    electronic = rng.standard_normal(expected[0].shape, dtype=np.float32) * np.float32(ELECTRONIC * spacing_mm / 0.07)
    return [mean + np.sqrt(mean) * quantum + electronic for mean in expected]


def present(counts: Field, missing_mm: Field, depth: Field, spacing_mm: float) -> np.ndarray:
    """Turn counts into a 12-bit FOR PRESENTATION image, uint16, bright where much is absorbed and 0 outside the skin.

    ``missing_mm`` is the thickness of fat that the ray does not cross because the breast is thinner there; thickness
    equalisation adds it.
    """
    unattenuated = QUANTA * (spacing_mm / 0.07) ** 2
    excess = -np.log(np.maximum(counts, 1.0) / np.float32(unattenuated)) + np.float32(FAT) * missing_mm
    level = FAT_LEVEL * (1 - np.exp(-np.maximum(depth, 0) / SKIN_FADE_MM)) + GAIN * excess
    stored = np.where(depth > 0, np.clip(np.rint(_tone(level)), 1, WHITE), 0)
    return stored.astype(np.uint16)


def _tone(level: Field) -> Field:
    """Apply the tone curve: linear up to the knee, then approaching white without reaching it."""
    room = np.float32(WHITE - KNEE)
    bent = KNEE + room * (1 - np.exp(-np.maximum(level - KNEE, 0) / room))
    return np.asarray(np.where(level > KNEE, bent, level), dtype=np.float32)
