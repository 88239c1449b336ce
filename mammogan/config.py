"""Settings of the trainings as frozen dataclasses; the defaults are the study's values.

This module imports nothing heavy, so that ``--help`` answers at once.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from mammogan.errors import MissingInput as MissingInput
from mammogan.errors import UserError
from mammogan.setting_limits import at_least, check_affine, check_width, refuse_changed
from mammogan.workspace import Objective

CLASSIFIER, GENERATOR = "vgg11-cad", "unet"
"""Names of the study's architectures."""
LESION_GENERATORS = ("residual-map", "transplant")
"""What checkpoints call the lesion objective's remover, and its bank of lesions; reserved for them."""


@dataclass(frozen=True)
class PenaltyConfig:
    """The gradient penalty of Eq. 3 and 4: (k/2) mean ||g||^o, with g the gradient of the network's output by its
    input."""

    k: float = 10.0
    """Weight of the penalty; 0: no penalty."""
    o: float = 4.0
    """Exponent of the gradient's norm; 2 or more, since below 2 the penalty has no derivative where the gradient is
    0."""
    of: Literal["sum", "margin", "target"] = "sum"
    """Output of the CAD that is differentiated. sum: the sum of both logits, as published; it does not see the decision
    margin. margin: positive minus negative logit, which bounds what an attack can use. target: the logit of the
    mammogram's own class. A discriminator has one logit, so this has no effect on it."""

    def __post_init__(self) -> None:
        at_least(self, 0, "k", group="penalty.")
        at_least(self, 2, "o", group="penalty.")


@dataclass(frozen=True)
class ComputeConfig:
    """How a training uses the machine. None of these settings changes what is learned beyond rounding."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where there is one, else the CPU."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp64"] = "auto"
    """Number format of the computation. auto: bf16 on GPUs that have it, fp16 with a loss scaler on other GPUs, fp32 on
    the CPU. fp64 is for tests."""
    optimizer: Literal["auto", "torch", "apex"] = "auto"
    """auto: NVIDIA apex's FusedAdam where its kernels are built and the weights are on CUDA, else torch's Adam."""
    penalty: Literal["fast", "reference"] = "fast"
    """How the gradient penalty is differentiated. fast: by explicit formulas, where the critic is piecewise linear.
    reference: by torch's automatic differentiation."""
    kernels: bool = True
    """Use fused kernels for the fast penalty on CUDA if triton is installed; otherwise torch's operations."""
    recompute: bool = False
    """For small GPUs, with the fast penalty only: differentiate the critic one image at a time, and recompute
    intermediate values instead of keeping them. A step takes about a third longer; its memory hardly grows with the
    batch."""
    loader_workers: int = 2
    """Processes that read shards, per rank; 0 reads in the training process."""
    save_minutes: float = 10.0
    """Most minutes between two checkpoints; one is also written at the end of every epoch. 0: after every batch."""
    max_nonfinite: int = 20
    """Stop after this many consecutive steps whose gradients are not finite; fewer are skipped and counted. On a GPU
    this is checked once in as many steps, so that no step waits for the check."""
    tensorboard: bool = True
    """Write figures and pictures for TensorBoard too, into the run folder."""

    def __post_init__(self) -> None:
        at_least(self, 0, "loader_workers", "save_minutes", group="compute.")
        at_least(self, 1, "max_nonfinite", group="compute.")


@dataclass(frozen=True)
class CadConfig:
    """Training of the classifier, the CAD (study, sections 3 to 5)."""

    resolution: str = "high"
    """high, low or HEIGHTxWIDTH; auto takes the highest that has shards."""
    classifier: str = CLASSIFIER
    """Architecture: vgg11-cad is the study's; MODULE:CLASS is one of your own (docs/extending.md)."""
    width: float = 1.0
    """Multiplies every channel count; 1 is the study's network."""
    vgg_weights: str = "auto"
    """ImageNet weights of Vnet. auto: torchvision downloads them. A path: that file. none: random weights, which are
    trained from the first epoch (as with --fnet-epochs 0). Of the classifier vgg11-cad alone."""
    start_from: str = ""
    """Begin with the weights of another training: its run folder, a checkpoint, or an exported model. Settings may
    differ from its, the architecture and width not. Recorded in config.yaml. Empty: begin as the study does."""
    pairs: int = 4
    """Positive mammograms in a batch over all ranks, and as many negatives."""
    epoch_batches: int | None = None
    """Batches in an epoch; None: enough to see every mammogram of the more common label, as in the study."""
    fnet_epochs: int = 41
    """The first epochs, in which Fnet is trained alone and Vnet is frozen. Of the classifier vgg11-cad alone: a body of
    your own learns from the first epoch."""
    epochs: int = 100
    """Number of all epochs. The study gives only the 41 of the first phase, and says that the best validation AUC is
    kept."""
    lr_fnet: float = 1e-4
    """Learning rate of Fnet and the last layer."""
    lr_vnet: float = 1e-5
    """Learning rate of Vnet, once it is trained."""
    lr_decay: Literal["none", "cosine"] = "none"
    """cosine: the learning rates fall to 0 at the last of --epochs. A training that ends at the full rate calls images
    cancer too often, or too rarely, by chance. none: as in the study."""
    last_scale: float = 1.0
    """Multiplies the initial weights of the last layer. With full-sized weights the first steps undo random decisions,
    and may flatten all layers while they do; 0.1 begins at a probability of about 0.5. 1: as in the study."""
    warm_up: int = 0
    """Batches over which the learning rates rise to their values."""
    average: float = 0.0
    """Decay per batch of the exponential moving average of the weights, such as 0.98; the average is validated and
    kept. 0: no average, as in the study."""
    keep: Literal["auc", "loss"] = "auc"
    """Which epoch is kept. auc: that of the highest validation AUC, as in the study. loss: that of the lowest
    validation cross-entropy (both classes weigh the same), which also judges the threshold 0.5."""
    focal_gamma: float = 2.0
    """Exponent of the focal weight (1-p)^gamma of Eq. 1."""
    focal_alpha: float = 0.5
    """Factor of the focal loss: 0.5 as in the published code, 1 as in the paper."""
    focal_detach: bool = True
    """Treat the focal weight (1-p)^gamma as a constant, as the published code does; False follows the paper."""
    adversarial_training: Literal["none", "fgsm", "pgd"] = "none"
    """Replace each batch by images that an attack has made of it, so that the CAD withstands small changes. fgsm: one
    step, which costs about one step more; pgd: three. none: as in the study."""
    adversarial_budget: float = 64.0
    """Largest change of a pixel in adversarial training, in grey levels of 65535."""
    rotation: float = 45.0
    """Augmentation: largest rotation in degrees, in both directions."""
    shear: float = 45.0
    """Augmentation: largest shear in degrees, in both directions."""
    scale: tuple[float, float] = (0.5, 2.0)
    """Augmentation: smallest and largest factor of the size."""
    penalty: PenaltyConfig = PenaltyConfig()
    compute: ComputeConfig = ComputeConfig()
    seed: int = 0
    """Seed of everything random in the training."""

    def __post_init__(self) -> None:
        at_least(self, 1, "pairs", "epoch_batches", "epochs")
        at_least(self, 0, "warm_up")
        at_least(self, 1, "adversarial_budget")
        if not 0 <= self.average < 1:
            raise UserError(f"--average {self.average:g}: expected 0 to below 1")
        at_least(self, 0, "seed", "fnet_epochs", "lr_fnet", "lr_vnet", "focal_gamma", "focal_alpha", "last_scale")
        check_width(self.width)
        check_affine(self.rotation, self.shear, self.scale)
        if self.classifier != CLASSIFIER:
            own, instead = f"--classifier {self.classifier}", "it learns from the first epoch, see docs/extending.md"
            refuse_changed(self, {"vgg_weights": "none", "fnet_epochs": 0}, f"--classifier {CLASSIFIER}", own, instead)


@dataclass(frozen=True)
class LesionConfig:
    """Training with the lesion objective (docs/lesion_objective.md); used only with ``--objective lesion``."""

    cells: int = 96
    """Height of the map in cells. With 96, a cell is 2.4 mm high on a complete mammogram. A cell's side is a power of
    two pixels. 48 takes half the time and draws coarser lesions."""
    pairs: int = 8
    """Source mammograms in a batch over all ranks, and as many targets."""
    epochs: int = 24
    """Number of epochs."""
    epoch_batches: int = 50
    """Batches in an epoch; the critic and the generator learn in each."""
    critic_first: int = 60
    """The first batches, in which only the critic learns."""
    sparse: float = 20.0
    """Weight of the mean absolute change of sources, as a fraction of the grey range: changes must be small and few."""
    fixed_point: float = 300.0
    """Weight of the mean absolute change of targets, which must stay as they are."""
    untouched: float = 1.0
    """Weight of unchanged sources among the images that the critic must distinguish from targets: it continues to look
    for lesions when the adversarial images have none."""
    r1: float = 0.0625
    """Weight r of R1, which is r/2 times the squared gradient of the critic by the cells of targets."""
    r1_every: int = 4
    """Compute R1 once in this many batches, and multiply it by this number."""
    lr: float = 4e-4
    """Learning rate of the critic and the generator."""
    average: float = 0.99
    """Decay per step of the exponential moving average of the generator's weights; the average is kept."""
    shift: float = 0.0625
    """Augmentation: mammograms are shifted up or down by up to this fraction of their height."""
    radius_mm: float = 8.5
    """Insertion: radius of the lesions that are transplanted, in mm; the geometric mean of 6 and 12 mm."""
    bank_share: float = 0.85
    """Insertion: a removal enters the lesion bank when this share of its energy lies within 1.5 radii of one place."""
    bank_faintest: float = 0.0
    """Insertion: share of these removals that is left out, the faintest first."""
    bank_least: int = 10
    """Insertion: fewest lesions in the bank; with fewer the training stops with an error, as there is too little to
    draw from."""

    def __post_init__(self) -> None:
        at_least(self, 1, "cells", "pairs", "epochs", "epoch_batches", "r1_every", "radius_mm", group="lesion.")
        weights = ("sparse", "fixed_point", "untouched", "r1")
        at_least(self, 0, "critic_first", *weights, "lr", "bank_least", group="lesion.")
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
    """high, low or HEIGHTxWIDTH; auto takes the highest that has shards."""
    objective: Objective = "study"
    """study: as published. lesion: a sparse change that acts on the lesion, with the settings --lesion.*; the settings
    of the study's objective do not apply to it."""
    generator: str = GENERATOR
    """Architecture: unet is the study's Gnet; MODULE:CLASS is one of your own (docs/extending.md)."""
    width: float = 1.0
    """Multiplies the channel counts of Gnet, the generator. The discriminator has the width of its CAD."""
    gnet_norm: Literal["batch", "group"] = "batch"
    """Normalisation in Gnet: batch as in the published code, group (32 groups) as in the paper. Of the generator unet
    alone."""
    start_from: str = ""
    """Begin with Gnet's weights of another training of the same direction: its run folder, a checkpoint, or an exported
    model. The discriminator begins as the CAD. Settings may differ from its, the architecture and width not. Recorded
    in config.yaml. Empty: begin with random weights."""
    cad: str = ""
    """The classifier to fool, in place of the workspace's: a run folder, a folder of mammogan export-model, a
    checkpoint such as best.pt, or MODULE:FACTORY (docs/models.md)."""
    pairs: int = 2
    """Source mammograms in a batch over all ranks, and as many targets."""
    epoch_batches: int | None = None
    """Batches in an epoch; None: enough to see every mammogram of the more common label, as in the study."""
    gnet_every: int = 5
    """Batches per step of Gnet in the adversarial phases."""
    stabiliser: Literal["hinge", "paper"] = "hinge"
    """Term S of Eq. 4. hinge: |mean(-Dis(x)) - 1| as in the published code. paper: mean |Dis(x) - 1|."""
    identity_weight: float = 1.0
    """Weight of Eq. 7 in Eq. 8; 1 in the study."""
    lr_warm: float = 1e-4
    """Learning rate of Gnet in the phase warm-gnet, and of Dnet's last layer in the phase warm-dnet."""
    lr_gnet: float = 1e-5
    """Learning rate of Gnet in the adversarial phases."""
    lr_dnet: float = 1e-4
    """Learning rate of Dnet in the adversarial phases."""
    lr_vnet: float = 1e-5
    """Learning rate of the discriminator's Vnet, which learns in the phase all."""
    epochs: tuple[int, int, int, int, int] = (11, 10, 10, 300, 270)
    """Most epochs of the phases warm-gnet, warm-dnet, last-layer, head and all. 0 leaves a phase out."""
    stop_rules: bool = True
    """End phases early by the paper's rules, as well as by --epochs."""
    stop_identity: float = 0.002
    """Stop rule of the phase warm-gnet: it ends when the epoch mean of Eq. 7 is below this."""
    rotation: float = 45.0
    """Augmentation: largest rotation in degrees, in both directions."""
    shear: float = 45.0
    """Augmentation: largest shear in degrees, in both directions."""
    gan_scale: bool = False
    """Augmentation: vary the size too (factor 0.5 to 2), as the paper says; the published code does not."""
    allow_weak_cad: bool = False
    """Train even if the CAD is not known to read validation better than chance: its AUC's interval is not above 0.5, or
    cannot be given, or it gets no positive or no negative right. Table 1 then has a banner."""
    validate_every: int = 1
    """Epochs between two measurements of the fooled rate on the validation split; the last epoch of a phase is always
    measured. In the phase warm-gnet, in which Gnet learns to reproduce its input, five times as many, from its first
    epoch on."""
    lesion: LesionConfig = LesionConfig()
    penalty: PenaltyConfig = PenaltyConfig()
    compute: ComputeConfig = ComputeConfig()
    seed: int = 0
    """Seed of everything random in the training."""

    def __post_init__(self) -> None:
        at_least(self, 1, "pairs", "epoch_batches", "gnet_every", "validate_every")
        at_least(self, 0, "seed", "identity_weight", "stop_identity", "lr_warm", "lr_gnet", "lr_dnet", "lr_vnet")
        check_width(self.width)
        check_affine(self.rotation, self.shear)
        if min(self.epochs) < 0 or not any(self.epochs):
            raise UserError(f"--epochs {' '.join(map(str, self.epochs))}: expected five caps of 0 or more, not all 0")
        _refuse_settings_without_effect(self)
        if self.generator != GENERATOR:
            own, instead = f"--generator {self.generator}", "a class of your own normalises as it is written"
            refuse_changed(self, {"gnet_norm": "batch"}, f"--generator {GENERATOR}", own, instead)


SHARED_SETTINGS = ("resolution", "objective", "cad", "width", "allow_weak_cad", "validate_every", "compute", "seed")
"""Settings that apply to both objectives."""


def _refuse_settings_without_effect(config: GanConfig) -> None:
    """Raise UserError naming changed settings of the other objective, since they would have no effect."""
    fields = [f for f in dataclasses.fields(config) if f.name not in SHARED_SETTINGS]
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
    """Return a config as plain values, ready for YAML and JSON."""
    return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(config).items()}  # type: ignore[call-overload]
