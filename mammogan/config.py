"""Names and settings shared by every stage, with the study's values as defaults.

Nothing here imports more than the standard library, so that ``--help`` answers at once.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from mammogan.errors import MissingInput as MissingInput
from mammogan.errors import UserError
from mammogan.setting_limits import at_least, check_affine, check_width

SPLITS = ("train", "validation", "test")
LABELS = ("negative", "positive")
Label = Literal["negative", "positive"]


@dataclass(frozen=True, order=True)
class Resolution:
    """Image size in pixels. Both sides are multiples of 32 and at least 96 (five poolings and a stride)."""

    height: int
    width: int

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            if side < 96 or side % 32:
                raise UserError(
                    f"resolution {self.height}x{self.width}: both sides must be multiples of 32 and at least 96; "
                    "the study's are high = 1728x1408 and low = 1024x832"
                )

    @classmethod
    def parse(cls, text: str) -> Resolution:
        """Read 'high', 'low' or 'HEIGHTxWIDTH'."""
        named = {"high": HIGH, "low": LOW}
        if text in named:
            return named[text]
        match = re.fullmatch(r"(\d+)x(\d+)", text)
        if not match:
            raise UserError(f"resolution {text!r}: expected high, low or HEIGHTxWIDTH such as 1024x832")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


HIGH = Resolution(1728, 1408)
LOW = Resolution(1024, 832)


class Direction(StrEnum):
    """What a generator does: ``remove`` makes positives look negative, ``insert`` the other way (study, section 4)."""

    REMOVE = "remove"
    INSERT = "insert"

    @property
    def source(self) -> Label:
        """Label of the mammograms that are altered (the study's y)."""
        return "positive" if self is Direction.REMOVE else "negative"

    @property
    def target(self) -> Label:
        """Label that the altered mammograms should seem to have (the study's x are real mammograms of it)."""
        return "negative" if self is Direction.REMOVE else "positive"


Objective = Literal["study", "lesion"]
"""What a generator is trained for. study: Eq. 8 of the paper, against a discriminator born from the CAD. lesion: a
small, sparse change after which a fresh critic finds no lesion (docs/lesion_objective.md)."""
OBJECTIVES: tuple[Objective, ...] = ("study", "lesion")


@dataclass(frozen=True)
class Workspace:
    """The folder that holds everything; each stage finds its input here by convention.

    Shards and CADs are shared by all objectives. Generators, adversarial images, scores and reports of another
    objective than the study's have its name in their folder's: runs/gan-<size>-remove-lesion, adversarial-lesion/.
    """

    root: Path
    objective: Objective = "study"

    @property
    def suffix(self) -> str:
        """What the names of an objective's folders and stages end in; nothing for the study's."""
        return "" if self.objective == "study" else f"-{self.objective}"

    def of(self, objective: Objective) -> Workspace:
        """The same folder, seen by another objective."""
        return Workspace(self.root, objective)

    @property
    def cohort(self) -> Path:
        return self.root / "cohort.csv"

    @property
    def salt(self) -> Path:
        """Secret that makes pseudonyms; mode 600, never inside the shards."""
        return self.root / "private" / "salt"

    def shards(self, resolution: Resolution) -> Path:
        return self.root / "shards" / str(resolution)

    def cad_run(self, resolution: Resolution) -> Path:
        return self.root / "runs" / f"cad-{resolution}"

    def gan_run(self, resolution: Resolution, direction: Direction) -> Path:
        return self.root / "runs" / f"gan-{resolution}-{direction}{self.suffix}"

    def adversarial(self, resolution: Resolution) -> Path:
        return self.root / f"adversarial{self.suffix}" / str(resolution)

    def scores(self, split: str) -> Path:
        return self.root / f"scores{self.suffix}" / split

    @property
    def report(self) -> Path:
        return self.root / f"report{self.suffix}"

    def resolutions(self) -> list[Resolution]:
        """Resolutions for which finished shards exist, highest first."""
        found = [Resolution.parse(index.parent.name) for index in self.root.glob("shards/*x*/index.json")]
        return sorted(found, reverse=True)


@dataclass(frozen=True)
class PenaltyConfig:
    """The gradient penalty of Eq. 3 and 4: (k/2) mean ||g||^o."""

    k: float = 10.0
    o: float = 4.0
    of: Literal["sum", "margin", "target"] = "sum"
    """Which scalar of the CAD is differentiated. sum: both logits, as published, blind to the decision margin.
    margin: positive minus negative logit, the one that bounds what an attack can use. target: the own class's logit.
    A discriminator has one logit, so this has no effect on it."""


@dataclass(frozen=True)
class ComputeConfig:
    """How a training uses the machine. None of it changes what is learned beyond rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp64"] = "auto"
    """auto: bf16 on GPUs that have it, else fp16 with a loss scaler; fp32 on CPU. fp64 is for tests."""
    optimizer: Literal["auto", "torch", "apex"] = "auto"
    """auto takes NVIDIA apex's FusedAdam where its kernels are built and the weights are on CUDA, else torch's."""
    penalty: Literal["fast", "reference"] = "fast"
    """How the gradient penalty is differentiated: by hand where the critic is piecewise linear, or automatically."""
    kernels: bool = True
    """Use our own kernels for the fast penalty on CUDA, where triton is there; else torch's."""
    recompute: bool = False
    """For small GPUs: differentiate the critic image by image and compute again what would have to be kept. A step
    takes about a third longer; its memory hardly grows with the batch. Of the fast penalty only."""
    loader_workers: int = 2
    """Processes that read shards, per rank; 0 reads in the training process."""
    save_minutes: float = 10.0
    """A checkpoint is written at least this often, and at the end of every epoch."""
    max_nonfinite: int = 20
    """Stop after this many steps in a row whose gradients are not finite; fewer are skipped and counted. On a GPU that
    is looked at once in as many steps, so that none has to be waited for."""
    tensorboard: bool = True


@dataclass(frozen=True)
class CadConfig:
    """Training of the classifier (study, sections 3 to 5)."""

    resolution: str = "high"
    width: float = 1.0
    """Multiplies every channel count; 1 is the study's network."""
    vgg_weights: str = "auto"
    """ImageNet weights of Vnet. auto: downloaded by torchvision. A path: that file. none: random, fnet_epochs = 0."""
    pairs: int = 4
    """Positives, and as many negatives, in a batch over all ranks."""
    epoch_batches: int | None = None
    """Batches in an epoch; None: as many as it takes to see every mammogram of the commoner label, as in the study."""
    fnet_epochs: int = 41
    """First epochs train Fnet alone, Vnet frozen."""
    epochs: int = 100
    """All epochs. The study gives only the first phase's 41 and says that the best validation AUC is kept."""
    lr_fnet: float = 1e-4
    lr_vnet: float = 1e-5
    lr_decay: Literal["none", "cosine"] = "none"
    """cosine: rates fall to 0 at the last of ``epochs``. A training that ends at full rate calls its last images cancer
    more often, or less, by chance. none as in the study."""
    last_scale: float = 1.0
    """Multiplies the initial weights of the last layer. With full-sized ones the first steps undo random calls, and may
    flatten all layers while they do; .1 begins at a probability of about .5. 1 as in the study."""
    warm_up: int = 0
    """Batches over which the rates rise to their values."""
    average: float = 0.0
    """Exponential moving average of the weights, such as .98 a batch: what is validated and kept. 0: the weights
    themselves, as in the study."""
    keep: Literal["auc", "loss"] = "auc"
    """Which epoch is kept: auc, the highest validation AUC, as in the study; loss, the lowest validation cross-entropy
    (both classes weighing the same), which judges the threshold .5 too."""
    focal_gamma: float = 2.0
    focal_alpha: float = 0.5
    """.5 as in the published code; 1 as in the paper."""
    focal_detach: bool = True
    """Treat the focal weight (1-p)^gamma as a constant, as the published code does; False follows the paper."""
    rotation: float = 45.0
    """Augmentation: degrees either way."""
    shear: float = 45.0
    """Augmentation: degrees either way."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Augmentation: range of the size factor."""
    penalty: PenaltyConfig = PenaltyConfig()
    compute: ComputeConfig = ComputeConfig()
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, 1, "pairs", "epoch_batches", "epochs")
        at_least(self, 0, "warm_up")
        if not 0 <= self.average < 1:
            raise UserError(f"--average {self.average:g}: expected 0 to below 1")
        at_least(self, 0, "seed", "fnet_epochs", "lr_fnet", "lr_vnet", "focal_gamma", "focal_alpha", "last_scale")
        check_width(self.width)
        check_affine(self.rotation, self.shear, self.scale)


@dataclass(frozen=True)
class LesionConfig:
    """Training of the lesion objective (docs/lesion_objective.md); used with ``--objective lesion`` alone."""

    cells: int = 96
    """Height of the map in cells: 96 are 2.4 mm each on a whole mammogram. A cell is a power of two pixels. 48 take
    half the time and draw coarser lesions."""
    pairs: int = 8
    """Source mammograms, and as many targets, in a batch over all ranks."""
    epochs: int = 24
    epoch_batches: int = 50
    """Batches in an epoch; the critic and the generator learn in each."""
    critic_first: int = 60
    """Batches in which the critic learns alone."""
    sparse: float = 20.0
    """Weight of the mean absolute change of sources, in parts of the grey range: changes have to be small and few."""
    fixed_point: float = 100.0
    """Weight of the mean absolute change of targets, which are to stay as they are."""
    untouched: float = 1.0
    """Weight of untouched sources among what the critic is to recognise: it goes on to look for lesions when the
    adversarial images have none."""
    r1: float = 0.0625
    """Weight of the critic's squared gradient by the cells of targets, halved."""
    r1_every: int = 4
    """Batches for each R1, which is then weighted by as much."""
    lr: float = 4e-4
    average: float = 0.99
    """Of the generator's weights over steps: the exponential moving average is what is kept."""
    shift: float = 0.0625
    """Augmentation: mammograms are shifted up or down by up to this part of their height."""
    radius_mm: float = 8.5
    """Insertion: of the lesions that are transplanted, the geometric middle of 6 to 12 mm."""
    bank_share: float = 0.85
    """Insertion: a removal is banked when this share of its energy lies within 1.5 radii of one place."""
    bank_faintest: float = 0.0
    """Insertion: this part of those, the faintest, is left out."""
    bank_least: int = 10
    """Insertion: with fewer lesions than this there is nothing to draw from."""

    def __post_init__(self) -> None:
        at_least(self, 1, "cells", "pairs", "epochs", "epoch_batches", "r1_every")
        at_least(self, 0, "critic_first", "sparse", "fixed_point", "untouched", "r1", "lr", "bank_least")
        at_least(self, 1, "radius_mm")
        if not (0 <= self.bank_share < 1 and 0 <= self.bank_faintest < 1):
            raise UserError(
                f"--lesion.bank-share {self.bank_share:g} --lesion.bank-faintest {self.bank_faintest:g}: expected "
                "shares from 0 to below 1"
            )
        if not 0 <= self.average < 1 or not 0 <= self.shift < 0.5:
            raise UserError(
                f"--lesion.average {self.average:g} --lesion.shift {self.shift:g}: expected 0 to below 1, and below .5"
            )


@dataclass(frozen=True)
class GanConfig:
    """Training of one generator against its discriminator (study, sections 3 to 5)."""

    resolution: str = "high"
    objective: Objective = "study"
    """study: as published. lesion: a sparse change that acts on the lesion, with the settings --lesion.*; those of the
    study's objective do not apply to it."""
    width: float = 1.0
    """Multiplies Gnet's channel counts. The discriminator has its CAD's width."""
    gnet_norm: Literal["batch", "group"] = "batch"
    """batch as in the published code, group (32 groups) as in the paper."""
    pairs: int = 2
    """Source mammograms, and as many targets, in a batch over all ranks."""
    epoch_batches: int | None = None
    """Batches in an epoch; None: as many as it takes to see every mammogram of the commoner label, as in the study."""
    gnet_every: int = 5
    """Batches for each step of Gnet in the adversarial phases."""
    stabiliser: Literal["hinge", "paper"] = "hinge"
    """S of Eq. 4. hinge: |mean(-Dis(x)) - 1| as in the published code. paper: mean |Dis(x) - 1|."""
    identity_weight: float = 1.0
    """Weight of Eq. 7 in Eq. 8; 1 in the study."""
    lr_warm: float = 1e-4
    """Gnet in the identity phase, and Dnet's last layer in the phase that warms it."""
    lr_gnet: float = 1e-5
    lr_dnet: float = 1e-4
    lr_vnet: float = 1e-5
    epochs: tuple[int, int, int, int, int] = (11, 10, 10, 300, 270)
    """Caps of the phases warm-gnet, warm-dnet, last-layer, head, all. 0 leaves a phase out."""
    stop_rules: bool = True
    """End phases early by the paper's rules as well as by the published caps."""
    stop_identity: float = 0.002
    """The rule for the identity phase: it ends when Eq. 7, epoch mean, is below this."""
    rotation: float = 45.0
    shear: float = 45.0
    gan_scale: bool = False
    """Augment sizes too (.5 to 2): the paper says so, the published code leaves it out."""
    validate_every: int = 1
    """Epochs between measurements of the fooled rate on the validation split; five times as many while Gnet learns to
    reproduce."""
    lesion: LesionConfig = LesionConfig()
    penalty: PenaltyConfig = PenaltyConfig()
    compute: ComputeConfig = ComputeConfig()
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self, 1, "pairs", "epoch_batches", "gnet_every", "validate_every")
        at_least(self, 0, "seed", "identity_weight", "stop_identity", "lr_warm", "lr_gnet", "lr_dnet", "lr_vnet")
        check_width(self.width)
        check_affine(self.rotation, self.shear)
        if min(self.epochs) < 0 or not any(self.epochs):
            raise UserError(f"--epochs {' '.join(map(str, self.epochs))}: expected five caps of 0 or more, not all 0")
        _refuse_settings_without_effect(self)


OF_BOTH_OBJECTIVES = ("resolution", "objective", "width", "validate_every", "compute", "seed")


def _refuse_settings_without_effect(config: GanConfig) -> None:
    """UserError naming settings of the other objective that differ from their defaults: they would change nothing."""
    fields = [f for f in dataclasses.fields(config) if f.name not in OF_BOTH_OBJECTIVES]
    foreign = f"--objective {'lesion' if config.objective == 'study' else 'study'}"
    without_effect = [f for f in fields if (f.name == "lesion") == (config.objective == "study")]
    changed = [f.name for f in without_effect if getattr(config, f.name) != f.default]
    if given := [f"--{name.replace('_', '-')}" for name in changed]:
        given = [f"{name}.*" if name in ("--lesion", "--penalty") else name for name in given]
        own = "--lesion.*" if config.objective == "lesion" else "the options without --lesion"
        raise UserError(
            f"{', '.join(given)}: of {foreign} alone, and would change nothing with --objective {config.objective}, "
            f"which has {own}; leave out what does not belong to it"
        )


def to_dict(config: object) -> dict[str, object]:
    """A config as plain YAML- and JSON-ready values."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(config).items()}  # type: ignore[call-overload]
