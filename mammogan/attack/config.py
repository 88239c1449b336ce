"""Define the options of ``mammogan generate`` and ``mammogan evaluate`` with their defaults, and name simple attacks.

This module imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mammogan.errors import UserError
from mammogan.setting_limits import options_at_least
from mammogan.workspace import OBJECTIVES, Direction, Objective, Resolution, Workspace

Split = Literal["train", "validation", "test"]
BASELINES = {
    "fgsm": "Fgsm",
    "pgd-linf": "PgdLinf",
    "pgd-l2": "PgdL2",
    "apgd-linf": "ApgdLinf",
    "apgd-l2": "ApgdL2",
    "square": "Square",
    "noise": "Noise",
}
"""Simple attacks to compare with, by name: classes of mammogan.attack.baselines."""
ATTACK = rf"[a-z0-9][a-z0-9-]*=(?:[\w.]+:\w+|{'|'.join(BASELINES)})"
Background = Literal["original", "as-generated"]


def report_folder(workspace: Workspace, split: str) -> Path:
    """Return the report folder of a split: report/ for test, report/<split>/ for the others. All objectives share
    it."""
    report = Workspace(workspace.root).report
    return report if split == "test" else report / split


def column_name(resolution: Resolution, objective: str) -> str:
    """Return the title of a report column: the resolution, plus the objective unless it is the study's."""
    if objective == "study":
        return str(resolution)
    return f"{resolution}, {objective} objective" if objective in OBJECTIVES else f"{resolution}, {objective}"


def column_folder(resolution: Resolution, objective: str) -> str:
    """Return the same as ``column_name``, in a form for file and folder names."""
    return str(resolution) if objective == "study" else f"{resolution}-{objective}"


@dataclass(frozen=True)
class GenerateConfig:
    """Options for making every mammogram of a split adversarial with the generator of its class (study, section 6)."""

    objective: Objective = "study"
    """study: use the generators trained as in the study. lesion: use those of the lesion objective."""
    attack: str = ""
    """NAME=MODULE:CLASS: an attack of your own in place of trained generators, such as fgsm=my_attacks:Fgsm
    (docs/extending.md). Its adversarial mammograms are kept in adversarial-NAME/. Ready to compare with: fgsm,
    pgd-linf, pgd-l2, apgd-linf, apgd-l2, square, noise; or under a name of yours, such as strong=pgd-l2."""
    attack_settings: tuple[str, ...] = ()
    """NAME=VALUE: other settings of --attack, such as budget=64 steps=20. A budget is in grey levels of 65535."""
    resolution: tuple[str, ...] = ()
    """high, low or HEIGHTxWIDTH, one or more. Default: every resolution that has shards and generators."""
    direction: tuple[Direction, ...] = (Direction.REMOVE, Direction.INSERT)
    """remove: make positives look negative. insert: make negatives look positive."""
    split: tuple[Split, ...] = ("test",)
    """Splits whose mammograms are made adversarial. train also needs --allow-train."""
    allow_train: bool = False
    """Allow --split train. The generator has seen these mammograms, so they fool the CAD more often."""
    train_shards: int = 0
    """Of the training split, make only the first so many shards of each direction, such as 1 for a reader study. 0:
    all."""
    checkpoint: str = "best"
    """best, newest, or the path of one generator checkpoint (a path needs exactly one --direction and one
    --resolution)."""
    models: Path | None = None
    """Workspace whose runs/ hold the generators, or a folder that mammogan export-model has made. Default: the
    workspace itself."""
    cad: str = ""
    """The classifier that --attack attacks, or that chooses among the tries of the lesion objective's insertion, in
    place of the one of --models: a run folder, a folder of mammogan export-model, a checkpoint such as best.pt, or
    MODULE:FACTORY (docs/models.md)."""
    out_of_domain: str = ""
    """Required when the generators were trained on other mammograms than these: describe the difference. The text is
    stored in the index."""
    origin_unknown: tuple[str, ...] = ()
    """Names of the generators' run folders, and the name or MODULE:FACTORY of --cad, whose weights do not say what they
    were trained on and are to be used all the same, such as gan-1024x832-remove."""
    background: Background = "original"
    """original: the air around the breast stays identical to the original's bit for bit, and adversarial pixels take
    only grey values that the original's source could store. as-generated, as in the paper: all pixels are saved as the
    generator made them."""
    tries: int = 6
    """Lesion objective, insertion: number of lesions tried per image. The first one that the CAD calls positive is
    kept, otherwise the one with the highest probability of cancer. 1: a single lesion is drawn and no CAD is used."""
    seed: int = 0
    """Lesion objective, insertion: seed that, with the image's key, decides which lesions are drawn and where they are
    put."""
    batch: int = 4
    """Mammograms per generator pass. Each needs about 4.3 GB at 1728x1408 with the study's width. It affects memory and
    speed, and the pixels only by rounding."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if torch finds one, otherwise the CPU."""

    @property
    def method(self) -> str:
        """What the folders of the adversarial mammograms are named after: the attack of your own, or the objective."""
        return self.attack.partition("=")[0] or self.objective

    @property
    def factory(self) -> str:
        """MODULE:CLASS of --attack; empty for trained generators."""
        name, _, given = self.attack.partition("=")
        known = BASELINES.get(given or name)
        return f"mammogan.attack.baselines:{known}" if known else given

    def __post_init__(self) -> None:
        is_known = self.attack in BASELINES or re.fullmatch(ATTACK, self.attack)
        if self.attack and (self.method in OBJECTIVES or not is_known):
            raise UserError(
                f"--attack {self.attack}: expected NAME=MODULE:CLASS such as mine=my_attacks:Fgsm, its name of small "
                f"letters, digits and hyphens other than {', '.join(OBJECTIVES)}; or one of {', '.join(BASELINES)}"
            )
        if self.attack_settings and not self.attack:
            raise UserError("--attack-settings are settings of --attack: give an attack, or leave them out")
        if self.attack and (self.objective, self.checkpoint) != ("study", "best"):
            raise UserError("--objective and --checkpoint choose trained generators, which --attack does not use")
        if "train" in self.split and not self.allow_train:
            raise UserError(
                "adversarial training mammograms overstate what a generator can do, since it was trained on them; "
                "add --allow-train if you still want them, as for the training sessions of a reader study"
            )
        if self.objective == "study" and (self.tries, self.seed) != (GenerateConfig.tries, GenerateConfig.seed):
            raise UserError(
                "--tries and --seed work with --objective lesion only: the study's generators have one answer each"
            )
        if self.cad and not self.attack and self.objective == "study":
            raise UserError(
                "--cad is asked by --attack and by the insertion of --objective lesion alone; the study's generators "
                "were trained against theirs: give --cad to mammogan train-gan"
            )
        options_at_least(self, batch=1, tries=1, seed=0, train_shards=0)
        if self.checkpoint not in ("best", "newest") and len(self.direction) != 1:
            raise UserError(
                f"--checkpoint {self.checkpoint} is one generator's file: name its --direction (remove or insert)"
            )


@dataclass(frozen=True)
class DicomConfig:
    """Options for writing adversarial mammograms as DICOM files too, for viewers and reader studies; never for a
    clinical system."""

    dicom: bool = False
    """Also write each adversarial mammogram as a DICOM file, marked as synthetic, into
    adversarial/<resolution>/dicom/."""
    native: bool = False
    """With --dicom: apply the change to the original mammogram at its full size, into dicom-native/. The originals are
    read again from the paths in cohort.csv."""
    blinded: Path | None = None
    """With --dicom, for a reader study: path of a key file, which is created, or reused if it exists. Adversarial
    mammograms and their originals are written to dicom-blinded/ or dicom-native-blinded/ under names that reveal
    nothing, and without the mark in the pixels. The key file lists which are adversarial; their DICOM headers still say
    so too."""

    def __post_init__(self) -> None:
        if (self.native or self.blinded) and not self.dicom:
            raise UserError("--native and --blinded say how DICOM files are written: add --dicom, or leave them out")


@dataclass(frozen=True)
class EvaluateConfig:
    """Options for scoring real and adversarial mammograms with the CAD and writing Table 1 with intervals and an HTML
    page."""

    resolution: tuple[str, ...] = ()
    """high, low or HEIGHTxWIDTH, one or more. Default: every resolution that has adversarial mammograms."""
    objective: tuple[str, ...] = ()
    """study, lesion, or the name of an attack of your own: those whose adversarial mammograms are evaluated, side by
    side. Default: all that exist."""
    split: Split = "test"
    """Split whose mammograms are evaluated."""
    threshold: float = 0.5
    """A mammogram whose probability of cancer is above this is called positive."""
    bootstrap: int = 2000
    """Number of bootstrap resamples of the patients for the 95% intervals of medians."""
    seed: int = 0
    """Seed of the bootstrap."""
    models: Path | None = None
    """Workspace whose runs/ hold the CADs, or a folder that mammogan export-model has made. Default: the workspace
    itself."""
    cad: str = ""
    """The classifier that scores, in place of the one of --models: a run folder, a folder of mammogan export-model, a
    checkpoint such as best.pt, or MODULE:FACTORY (docs/models.md)."""
    out_of_domain: str = ""
    """Required when the CAD or the generators were trained on other mammograms than these: describe the difference. The
    text marks the table, the page and the JSON."""
    origin_unknown: tuple[str, ...] = ()
    """Names of the run folders of the CAD and the generators, or the MODULE:FACTORY of --cad, whose weights do not say
    what they were trained on and are to be used all the same, such as cad-1024x832. The table, the page and the JSON
    say so."""
    pool: bool = False
    """Count phantoms and mammograms of patients, or phantoms of several lesion contrasts, together if the split mixes
    them. Every table and figure then names the parts. Without it a mixed split is refused."""
    examples: int = 3
    """Number of triplets (real, adversarial, difference) in each figure, from the largest to the smallest change of the
    CAD's probability. 1: only the median."""
    controls: bool = True
    """Also measure controls, which fool the CAD without attacking the lesion: the lesion-free twin, lower contrast,
    gradient descent on the CAD, and an identity-trained generator. Without them a fooled rate says nothing about
    removal."""
    batch: int = 4
    """Mammograms per pass through the CAD. It affects memory and speed, and the scores only by rounding."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if torch finds one, otherwise the CPU."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UserError(f"--threshold {self.threshold}: expected a probability between 0 and 1")
        options_at_least(self, bootstrap=100, examples=1, batch=1)
