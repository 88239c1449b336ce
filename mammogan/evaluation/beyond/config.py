"""Define the options of ``mammogan evaluate-deeper`` with their defaults: how many images, which simple attacks.

This module imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mammogan.attack.config import BASELINES
from mammogan.errors import UserError
from mammogan.setting_limits import options_at_least
from mammogan.workspace import Resolution, Workspace

Name = Literal["points", "attacks", "transfer", "robustness", "localisation", "realism", "detection"]
SECTIONS: tuple[Name, ...] = get_args(Name)
DEFAULT_BASELINES = (
    *("noise=256", "fgsm=256", "pgd-linf=64", "pgd-linf=256", "pgd-l2=64", "pgd-l2=256", "apgd-l2=256", "square=256"),
)


@dataclass(frozen=True)
class DeeperConfig:
    """Options for the page "Beyond Table 1" and what it measures."""

    resolution: str = ""
    """high, low or HEIGHTxWIDTH. Default: the highest that has adversarial mammograms of the test split."""
    images: int = 40
    """Originals of the test split that every attack is made on, half of each class: all rows of a table
    speak of the same images. The operating points are measured on all images that mammogan evaluate has scored."""
    baseline: tuple[str, ...] = DEFAULT_BASELINES
    """NAME=BUDGET: simple attacks to compare with (fgsm, pgd-linf, pgd-l2, apgd-linf, apgd-l2, square, noise), each
    with its budget in grey levels of 65535: the largest change of a pixel, or for -l2 the root mean square over the
    image."""
    victim: tuple[str, ...] = ()
    """NAME=WHERE: other classifiers that the attacks are shown to. WHERE is a checkpoint or run folder of MammoGAN, a
    .pt2 file (torch.export), an ONNX file (needs onnxruntime), or MODULE:FACTORY, which runs that code."""
    victim_scores: tuple[str, ...] = ()
    """NAME=scores.csv: scores that a system elsewhere gave to the files of --export-for-scoring, one line for each, in
    the columns image and probability."""
    export_for_scoring: Path | None = None
    """Folder. Only write all images there under names that reveal nothing, for a system that scores them elsewhere. The
    key stays in WORKSPACE/private/."""
    export_format: Literal["png", "dicom"] = "png"
    """png: 16-bit grey. dicom: for a PACS; adversarial files say in their header, and only there, that they are. Both
    are without padding, and as the scanner oriented the original."""
    vgg_weights: Path | None = None
    """torchvision's VGG11 weights (vgg11-8a719046.pth) for the features of the kernel distance. Default: random ones,
    which the page says."""
    regions: Path | None = None
    """Table of lesions for the section on localisation: boxes xmin, ymin, xmax, ymax in pixels of the original files,
    named in a column path or image_id. Phantoms need none. Default: the regions that mammogan scan found in the
    archive (VinDr-Mammo, CBIS-DDSM, INbreast)."""
    detect: tuple[str, ...] = ("pgd-l2=256",)
    """Those of --baseline that detectors are trained on too; always on the trained generators."""
    detector_images: int = 80
    """Training mammograms that detectors see, as many again of the validation split, half of each class."""
    detector_steps: int = 200
    """Most steps of the training of one detector, each with 8 real and 8 adversarial images; it ends early if the AUC
    on the training images reaches .995."""
    detector_seeds: int = 3
    """Detectors that are trained on each attack, each from another start."""
    section: tuple[Name, ...] = SECTIONS
    """Sections of the page that are measured. What was measured before is kept, so sections can be added later."""
    threshold: float = 0.5
    """The threshold of Table 1, beside those that are chosen on the validation split."""
    models: Path | None = None
    """Workspace whose runs/ hold the CAD and the generators. Default: the workspace itself."""
    cad: str = ""
    """The classifier that is attacked, victim A, in place of the one of --models, as mammogan evaluate was given it: a
    run folder, a folder of mammogan export-model, a checkpoint such as best.pt, or MODULE:FACTORY (docs/models.md)."""
    out_of_domain: str = ""
    """Required when the CAD was trained on other mammograms than these: describe the difference. The text marks the
    page and the JSON."""
    origin_unknown: tuple[str, ...] = ()
    """Name of the CAD's run folder, or the MODULE:FACTORY of --cad, if its weights do not say what they were trained on
    and are to be used all the same. The page and the JSON say so."""
    seed: int = 0
    """Seed of everything that is drawn."""
    batch: int = 4
    """Mammograms per pass through a network. It affects memory and speed, and the results only by rounding."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if torch finds one, otherwise the CPU."""

    def __post_init__(self) -> None:
        for text in self.baseline:
            budget_of(text)
        if not 0 < self.threshold < 1:
            raise UserError(f"--threshold {self.threshold}: expected a probability between 0 and 1")
        options_at_least(self, images=4, detector_images=4, detector_steps=1, detector_seeds=1, batch=1, seed=0)


def budget_of(text: str) -> tuple[str, float]:
    """Read NAME=BUDGET of a simple attack. Raise UserError if it is not one."""
    name, _, number = text.partition("=")
    try:
        budget = float(number)
    except ValueError:
        budget = 0
    if name not in BASELINES or not 0 < budget <= 65535:
        raise UserError(
            f"--baseline {text}: expected NAME=BUDGET such as pgd-l2=256, with a name of {', '.join(BASELINES)} and a "
            "budget in grey levels from 1 to 65535"
        )
    return name, budget


def page_folder(workspace: Workspace, resolution: Resolution) -> Path:
    """Return the folder of the page "Beyond Table 1" of one resolution."""
    return Workspace(workspace.root).report / "beyond" / str(resolution)


def kept_folder(workspace: Workspace, resolution: Resolution) -> Path:
    """Return the folder of what the page is made from: pixels of simple attacks, scores of every victim."""
    return workspace.root / "deeper" / str(resolution)
