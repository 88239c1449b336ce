"""Settings of the two front doors of this room; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mammogan.config import Direction, Objective, Resolution, UserError, Workspace

Split = Literal["train", "validation", "test"]
Background = Literal["original", "as-generated"]


def report_folder(workspace: Workspace, split: str) -> Path:
    """report/ for the test split, report/<split>/ for another; one for all objectives."""
    report = Workspace(workspace.root).report
    return report if split == "test" else report / split


def column_name(resolution: Resolution, objective: Objective) -> str:
    """What a column of the report is called: the resolution, and an objective other than the study's."""
    return str(resolution) if objective == "study" else f"{resolution}, {objective} objective"


def column_folder(resolution: Resolution, objective: Objective) -> str:
    """The same for names of files."""
    return str(resolution) if objective == "study" else f"{resolution}-{objective}"


@dataclass(frozen=True)
class GenerateConfig:
    """Turn every mammogram of a split into its counterpart with the generator of its class (study, section 6)."""

    objective: Objective = "study"
    """Whose generators: the study's, or those of the lesion objective."""
    resolution: tuple[str, ...] = ()
    """high, low or HEIGHTxWIDTH, one or more; all that have shards and generators when left out."""
    direction: tuple[Direction, ...] = (Direction.REMOVE, Direction.INSERT)
    """remove: positives are made to look negative. insert: negatives are made to look positive."""
    split: tuple[Split, ...] = ("test",)
    allow_train: bool = False
    """Alter training mammograms too when --split names them: the generator has seen them, so they fool more often."""
    checkpoint: str = "best"
    """best, newest, or the path of one generator checkpoint (then name one --direction and one --resolution)."""
    models: Path | None = None
    """Workspace whose runs/ hold the generators; the workspace itself when left out."""
    out_of_domain: str = ""
    """Needed for generators that were trained on other mammograms than these: say how these differ, for the index."""
    background: Background = "original"
    """original: the air around the breast stays the original's bit for bit, and altered pixels take grey values that
    the original's source could store. as-generated, the paper's: all pixels are saved as the generator made them."""
    tries: int = 6
    """Lesion objective, insertion: lesions that are tried for an image, of which the first that the CAD calls positive
    is taken, or else the one it finds most so. 1: one is drawn, and no CAD is asked."""
    seed: int = 0
    """Lesion objective, insertion: which lesions are drawn, and where to, with the image's key."""
    batch: int = 4
    """Mammograms through the generator at once, each about 4.3 GB at 1728x1408 with the study's width. It changes
    memory and speed, not the pixels beyond rounding."""
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if "train" in self.split and not self.allow_train:
            raise UserError(
                "altered training mammograms overstate what a generator can do, since it was trained on them; "
                "add --allow-train if you want them all the same (a reader study's training sessions do)"
            )
        if self.objective == "study" and (self.tries, self.seed) != (GenerateConfig.tries, GenerateConfig.seed):
            raise UserError("--tries and --seed are of --objective lesion: the study's generators have one answer each")
        for name, least in (("batch", 1), ("tries", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} {getattr(self, name)}: expected {least} or more")
        if self.checkpoint not in ("best", "newest") and len(self.direction) != 1:
            raise UserError(
                f"--checkpoint {self.checkpoint} is one generator's file: name its --direction (remove or insert)"
            )


@dataclass(frozen=True)
class DicomConfig:
    """Altered mammograms as DICOM files too, for viewers and reader studies; never for a clinical system."""

    dicom: bool = False
    """Write each altered mammogram as a DICOM file too, marked as synthetic, into adversarial/<resolution>/dicom/."""
    native: bool = False
    """With --dicom: put the change back on the original at its full size, into dicom-native/. The originals are read
    again, by the paths in cohort.csv."""
    blinded: Path | None = None
    """With --dicom, for a reader study: a key file, to be made or gone on with. Altered mammograms and their originals
    go into dicom-blinded/ or dicom-native-blinded/ under names that tell nothing, without the mark in the pixels. Which
    are altered stands in the key file, and in their headers still."""

    def __post_init__(self) -> None:
        if (self.native or self.blinded) and not self.dicom:
            raise UserError("--native and --blinded say how DICOM files are written: add --dicom, or leave them out")


@dataclass(frozen=True)
class EvaluateConfig:
    """Score real and altered mammograms with the CAD and write Table 1 with intervals and a page to read."""

    resolution: tuple[str, ...] = ()
    """high, low or HEIGHTxWIDTH, one or more; all that have altered mammograms when left out."""
    objective: tuple[Objective, ...] = ()
    """study, lesion: whose adversarial images are evaluated, side by side; all that there are when left out."""
    split: Split = "test"
    threshold: float = 0.5
    """A mammogram whose probability of cancer is above this is called positive."""
    bootstrap: int = 2000
    """Resamplings of the patients for the 95% intervals."""
    seed: int = 0
    """Of the resampling."""
    models: Path | None = None
    """Workspace whose runs/ hold the CADs; the workspace itself when left out."""
    out_of_domain: str = ""
    """Marks table, page and JSON; needed where CAD or generators were trained on other mammograms than these: say how
    these differ."""
    examples: int = 3
    """Triplets real, fake, difference in each figure: from the largest to the smallest change of the CAD's mind. 1: the
    median."""
    controls: bool = True
    """Also measure what fools the CAD without being an attack on the lesion: its lesion-free twin, less contrast,
    gradient descent on the CAD, an identity-trained generator. Without these rows a fooled rate tells nothing of
    removal."""
    batch: int = 4
    """Mammograms through the CAD at once. It changes memory and speed, not the scores beyond rounding."""
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UserError(f"--threshold {self.threshold}: expected a probability between 0 and 1")
        for name, least in (("bootstrap", 100), ("examples", 1), ("batch", 1)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} {getattr(self, name)}: expected {least} or more")
