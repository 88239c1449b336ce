"""Make a cohort of phantom mammograms: DICOM files of simulated breasts in which every lesion is known.

    mammogan make-phantom --out phantom --patients 400 --size 192x160       a demo cohort, in seconds
    mammogan make-phantom --out phantom --patients 100 --preset physical    full size, physical contrast

The folder OUT gets labels.csv (the table that mammogan make-shards reads), dicom/, masks/ of the lesions, truth.json
and, with --twins, twins/ with each positive image without its lesions. The same command continues a stopped run. See
docs/phantom.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mammogan.data.phantom.settings import PhantomConfig, PresetName, parse_size
from mammogan.errors import UserError
from mammogan.io.options import run
from mammogan.workspace import LABELS

if TYPE_CHECKING:
    from mammogan.data.inspect.preview import Picture

SHOWN = 8
"""Number of images of each label on the contact sheet."""
TO_16_BITS = 16
"""Factor for the contact sheet, which shows 16 bits; a phantom's pixels, uint16, have 12."""


@dataclass(frozen=True)
class Options:
    out: Path | None = None
    """Folder of the cohort: new, empty, or made with the same settings."""
    patients: int = 100
    """Number of patients. 28.5% are positive (the affected breast, 2 images), the others negative (both breasts, 4
    images)."""
    seed: int = 0
    """The same seed and settings give the same bytes, for any --jobs."""
    size: str = "3328x2560"
    """HEIGHTxWIDTH in pixels. The field is always 233 mm high: pixels are 0.07 mm at 3328x2560, 1.2 mm at 192x160."""
    preset: PresetName = "demo"
    """demo: masses of exaggerated contrast (12.5 times the physical excess over gland), for small sizes and short
    trainings; do not quote any figure of merit from it. physical: contrast of real masses, and calcifications."""
    conspicuity: float = 1.0
    """Multiplies the excess attenuation of the lesions, on top of the preset; 0.5 is half as visible, 0 invisible."""
    twins: bool = False
    """Also write each positive image without its lesions (its twin), bit-identical elsewhere."""
    jobs: int = 0
    """Number of processes; 0 takes one for each core."""
    contact_sheet: Path | None = None
    """Instead of writing a cohort, draw its first images of each label on one page, this PNG."""


def execute(options: Options) -> None:
    draw_sheet(options) if options.contact_sheet else make(options)


def make(options: Options) -> None:
    """Make the cohort, and print how large it is and what comes next."""
    if options.out is None:
        raise UserError("Expected --out with the folder for the cohort, or --contact-sheet with a PNG; see --help")
    config = config_of(options)
    from mammogan.data.phantom.cohort import make_cohort
    from mammogan.io.terminal import say

    made = make_cohort(config, options.out, options.jobs)
    say(
        f"{made.images} images of {made.patients} patients in {options.out}: {made.positive_images} images of "
        f"{made.positive_patients} patients are positive"
    )
    if config.contrast_gain > 1:
        say(f"Lesions have {config.contrast_gain:g} times the physical contrast: quote no figure of merit from them.")
    say(f"Next: mammogan make-shards --cohort {options.out / 'labels.csv'} --workspace work")


def draw_sheet(options: Options) -> None:
    """Draw the first images of each label of the cohort that the options describe, without writing the cohort."""
    from mammogan.data.inspect.preview import draw
    from mammogan.io.terminal import say

    if options.contact_sheet is not None:
        shown = [picture for label in LABELS for picture in islice(pictures(config_of(options), label), SHOWN)]
        draw(shown, options.contact_sheet, "MammoGAN phantoms: synthetic images of nobody, not for diagnosis")
        say(f"Contact sheet in {options.contact_sheet}")


def pictures(config: PhantomConfig, label: str) -> Iterator[Picture]:
    """Yield the cohort's images of one label, small, with their name and what is known of them."""
    import numpy as np

    from mammogan.data.inspect.contact_sheet import HEIGHT, small
    from mammogan.data.inspect.preview import Picture
    from mammogan.data.phantom.picture import draw
    from mammogan.data.phantom.plan import plan_cohort

    width = round(HEIGHT * config.width / config.height)
    for patient in plan_cohort(config):
        for image in patient.images if patient.label == label else ():
            drawn = draw(config, patient, image)
            malignant = [f"malignant {lesion.kind}" for lesion in drawn.lesions]
            findings = malignant + [f"benign {distractor.kind}" for distractor in drawn.distractors]
            shown = small(np.multiply(drawn.pixels, TO_16_BITS, dtype=np.uint16), width)
            yield Picture(shown, f"{label} {image.name}", ", ".join(findings) or "no finding")


def config_of(options: Options) -> PhantomConfig:
    return PhantomConfig(
        options.patients, options.seed, *parse_size(options.size), options.preset, options.conspicuity, options.twins
    )


def main() -> NoReturn:
    run(Options, execute, __doc__)
