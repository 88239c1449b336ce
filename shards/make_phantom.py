"""Make a cohort of phantom mammograms: true DICOM files of nobody, with every lesion known.

    python shards/make_phantom.py --out phantom --patients 400 --size 192x160       a demo cohort, in seconds
    python shards/make_phantom.py --out phantom --patients 100 --preset physical    full size, physical contrast

In OUT: labels.csv (the table that shards/make_shards.py reads), dicom/, masks/ of the lesions, truth.json and, with
--twins, twins/ with each positive image without its lesions. Stopped runs go on where they were. See docs/phantom.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mammogan.command_line import run
from mammogan.config import UserError
from mammogan.data.phantom.settings import PhantomConfig, PresetName, parse_size


@dataclass(frozen=True)
class MakePhantom:
    out: Path | None = None
    """Folder of the cohort; new, empty, or made with the same settings."""
    patients: int = 100
    """28.5% are positive (the affected breast, 2 images), the others negative (both breasts, 4 images)."""
    seed: int = 0
    """Same seed and settings, same bytes, whatever --jobs is."""
    size: str = "3328x2560"
    """HEIGHTxWIDTH in pixels of a field 233 mm high: 0.07 mm pixels at 3328x2560, 1.2 mm at 192x160."""
    preset: PresetName = "demo"
    """demo: masses of exaggerated contrast (12.5 times the physical excess over gland), for small sizes and short
    trainings; no figure of merit should be quoted from it. physical: contrast of real masses, and calcifications."""
    conspicuity: float = 1.0
    """Multiplies the excess attenuation of the lesions on top of the preset; 0.5 is half as visible, 0 invisible."""
    twins: bool = False
    """Also write each positive image without its lesions, equal to the last bit elsewhere."""
    jobs: int = 0
    """Processes; 0 takes one for each core."""
    contact_sheet: Path | None = None
    """Instead of a cohort, draw examples of both presets into this PNG (as docs/phantom.png was made)."""


def main(asked: MakePhantom) -> None:
    draw_sheet(asked) if asked.contact_sheet else make(asked)


def make(asked: MakePhantom) -> None:
    """Make the cohort and say what comes next."""
    if asked.out is None:
        raise UserError("Expected --out with the folder for the cohort, or --contact-sheet with a PNG; see --help")
    config = PhantomConfig(
        asked.patients, asked.seed, *parse_size(asked.size), asked.preset, asked.conspicuity, asked.twins
    )
    from mammogan.data.phantom.cohort import make_cohort
    from mammogan.terminal import say

    made = make_cohort(config, asked.out, asked.jobs)
    say(
        f"{made.images} images of {made.patients} patients in {asked.out}: {made.positive_images} images of "
        f"{made.positive_patients} patients are positive"
    )
    if config.contrast_gain > 1:
        say(f"Lesions have {config.contrast_gain:g} times the physical contrast: quote no figure of merit from them.")
    say(f"Next: python shards/make_shards.py --cohort {asked.out / 'labels.csv'} --workspace work")


def draw_sheet(asked: MakePhantom) -> None:
    from mammogan.data.phantom.sheet import write_sheet
    from mammogan.terminal import say

    if asked.contact_sheet is not None:
        write_sheet(asked.contact_sheet, asked.seed)
        say(f"Contact sheet in {asked.contact_sheet}")


if __name__ == "__main__":
    run(MakePhantom, main, __doc__)
