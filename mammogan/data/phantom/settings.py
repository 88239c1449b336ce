"""Settings of a phantom cohort: how conspicuous and large lesions are, and how many patients and images have one.

Imports no heavy package, so that ``--help`` is fast.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mammogan.errors import UserError

GENERATOR_VERSION = "1"
"""Must change whenever the same settings give different pixels."""

TRUTH_SCHEMA = 2
"""What truth.json holds. 2: the sha256 of every file of an image."""

FIELD_HEIGHT_MM = 233.0
"""Height of the imaged field at any image size: 3328 pixels of 0.07 mm."""
PHYSICAL_MASS_OVER_GLAND = 1.08
"""Attenuation of a malignant mass divided by that of gland: 1.06 to 1.11 (Johns and Yaffe; VICTRE)."""
POSITIVE_SHARE = 0.285
"""Share of positive patients: 366 of 1284, as in the study."""
DISTRACTOR_SHARE = 0.30
"""Share of images of each label that show a benign finding."""
MONOCHROME1_SHARE = 0.20
"""Share of patients imaged by the phantom device that stores inverted pixels."""

PresetName = Literal["demo", "physical"]


@dataclass(frozen=True)
class Preset:
    """The contrast, sizes and kinds of findings."""

    mass_over_gland: float
    benign_over_gland: float
    radius_mm: tuple[float, float]
    """Smallest and largest radius of malignant masses, drawn log-uniformly."""
    benign_radius_mm: tuple[float, float]
    findings: tuple[tuple[tuple[str, ...], float], ...]
    """The possible sets of findings of a positive patient, with their probabilities."""
    benign_mass_share: float
    """Share of distractors that are circumscribed masses; the others are a few round calcifications."""


PRESETS: dict[PresetName, Preset] = {
    "demo": Preset(2.0, 1.6, (6.0, 12.0), (3.0, 7.0), ((("mass",), 1.0),), 1.0),
    "physical": Preset(
        PHYSICAL_MASS_OVER_GLAND,
        1.0,
        (3.0, 9.0),
        (2.5, 7.0),
        ((("mass",), 0.5), (("cluster",), 0.3), (("mass", "cluster"), 0.2)),
        0.6,
    ),
}


@dataclass(frozen=True)
class PhantomConfig:
    """All settings of a cohort: they decide its pixels and files."""

    patients: int
    seed: int
    height: int
    width: int
    preset: PresetName
    conspicuity: float = 1.0
    twins: bool = False

    def __post_init__(self) -> None:
        faults = []
        if self.patients < 1:
            faults.append(f"--patients {self.patients}: expected at least 1")
        if self.seed < 0:
            faults.append(f"--seed {self.seed}: expected 0 or more")
        if self.preset not in PRESETS:
            faults.append(f"--preset {self.preset}: expected one of {', '.join(PRESETS)}")
        if not 0 <= self.conspicuity <= 4:
            faults.append(f"--conspicuity {self.conspicuity}: expected a factor from 0 (no contrast) to 4")
        if self.height < 96 or not 0.7 <= self.width / self.height <= 1.0:
            faults.append(
                f"--size {self.height}x{self.width}: expected HEIGHTxWIDTH in pixels, the height at least 96 and the "
                "width 0.7 to 1 times the height, such as 3328x2560, 1024x832 or 192x160"
            )
        if faults:
            raise UserError("\n".join(faults))

    @property
    def spacing_mm(self) -> float:
        """Pixel spacing in mm, rounded as in the DICOM file."""
        return round(FIELD_HEIGHT_MM / self.height, 6)

    @property
    def mass_over_gland(self) -> float:
        """Attenuation of malignant masses divided by that of gland: 1 + (the preset's ratio - 1) x conspicuity."""
        return 1.0 + (PRESETS[self.preset].mass_over_gland - 1.0) * self.conspicuity

    @property
    def contrast_gain(self) -> float:
        """Excess attenuation of masses over gland, relative to the physical one: 1 in the preset 'physical'."""
        return round((self.mass_over_gland - 1.0) / (PHYSICAL_MASS_OVER_GLAND - 1.0), 6)


def parse_size(text: str) -> tuple[int, int]:
    """Read 'HEIGHTxWIDTH' as (height, width); UserError for any other text."""
    match = re.fullmatch(r"(\d+)x(\d+)", text.strip())
    if not match:
        raise UserError(f"--size {text!r}: expected HEIGHTxWIDTH in pixels, such as 3328x2560")
    return int(match[1]), int(match[2])
