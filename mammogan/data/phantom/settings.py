"""What a phantom cohort can be asked for. Standard library only, so that ``--help`` answers at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mammogan.config import UserError

GENERATOR_VERSION = "1"
"""Changes whenever the same settings give other pixels."""

FIELD_HEIGHT_MM = 233.0
"""Height of the imaged field, whatever the image size: 3328 pixels of 0.07 mm."""
PHYSICAL_MASS_OVER_GLAND = 1.08
"""Attenuation of a malignant mass over that of gland: 1.06 to 1.11 (Johns and Yaffe; VICTRE)."""
POSITIVE_SHARE = 0.285
"""366 of the study's 1284 patients."""
DISTRACTOR_SHARE = 0.30
"""Images of either label that show something benign."""
MONOCHROME1_SHARE = 0.20
"""Patients imaged by the phantom device that stores inverted pixels."""

PresetName = Literal["demo", "physical"]


@dataclass(frozen=True)
class Preset:
    """How conspicuous lesions are, and which kinds there are."""

    mass_over_gland: float
    benign_over_gland: float
    radius_mm: tuple[float, float]
    """Malignant masses: smallest and largest radius, log-uniform."""
    benign_radius_mm: tuple[float, float]
    findings: tuple[tuple[tuple[str, ...], float], ...]
    """What a positive patient has, with its probability."""
    benign_mass_share: float
    """Distractors that are circumscribed masses; the others are a few round calcifications."""


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
    """Everything that decides the pixels of a cohort."""

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
        """Pixel pitch in mm, rounded as the DICOM file says it."""
        return round(FIELD_HEIGHT_MM / self.height, 6)

    @property
    def mass_over_gland(self) -> float:
        """Attenuation of malignant masses over that of gland: the preset's excess times the conspicuity."""
        return 1.0 + (PRESETS[self.preset].mass_over_gland - 1.0) * self.conspicuity

    @property
    def contrast_gain(self) -> float:
        """How many times the physical excess over gland the masses have: 1 in the preset 'physical'."""
        return round((self.mass_over_gland - 1.0) / (PHYSICAL_MASS_OVER_GLAND - 1.0), 6)


def parse_size(text: str) -> tuple[int, int]:
    """Read 'HEIGHTxWIDTH'."""
    match = re.fullmatch(r"(\d+)x(\d+)", text.strip())
    if not match:
        raise UserError(f"--size {text!r}: expected HEIGHTxWIDTH in pixels, such as 3328x2560")
    return int(match[1]), int(match[2])
