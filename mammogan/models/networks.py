"""The networks of the study (section 3): Vnet, Fnet, CAD, discriminator, Gnet.

Public functions take pixels in [0, 1] of shape (N, 1, H, W), or uint16; the networks normalise them themselves.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mammogan.models.torchvision_import import import_torchvision

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
AIR_PIXEL = 0.005
"""Pixels up to this fraction of full scale are air, not breast (327 of 65535). Means of many pixels have another limit,
AIR_CELL in lesion.py."""
CALLED_POSITIVE = 0.5
"""The CAD calls a mammogram positive above this probability wherever a training or an attack decides. The threshold of
Table 1 is an option of the evaluation and changes nothing that was trained or attacked."""
DROPOUT = 0.2
LEAK = 0.2


def channels(count: int, width: float) -> int:
    """Scale a channel count of the study by ``width``: a multiple of 8, at least 16; unchanged at width 1."""
    return count if width == 1 else max(16, 8 * round(count * width / 8))


def group_count(count: int, width: float) -> int:
    """Number of groups of a GroupNorm over ``count`` channels: the study's 32, fewer in narrower networks.

    With one value per group, GroupNorm outputs its bias for any input; 8 values per group keep the head trainable.
    """
    limit = 32 if width >= 1 else min(32, count // 8)
    return max(g for g in range(1, limit + 1) if count % g == 0)


def unit_pixels(pixels: Tensor) -> Tensor:
    """Convert uint16 in [0, 65535] to float32 in [0, 1]; floats are returned unchanged."""
    return pixels.to(torch.float32) / 65535 if pixels.dtype == torch.uint16 else pixels


def tissue(pixels: Tensor) -> Tensor:
    """Return a bool mask of breast (not air) with the shape of ``pixels``, which are in [0, 1] or uint16."""
    return unit_pixels(pixels) > AIR_PIXEL


def at_least_float32(value: Tensor) -> Tensor:
    """Convert half precision to float32 and leave wider types unchanged.

    For sums, exponentials and powers, which overflow or lose accuracy in half precision.
    """
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def to_uint16(pixels: Tensor) -> Tensor:
    """Convert floats in [0, 1] to uint16, rounding half to even: how an adversarial mammogram is saved (section 2)."""
    return (pixels.float() * 65535).round_().clamp_(0, 65535).to(torch.uint16)


def xavier_(module: nn.Module) -> nn.Module:
    """Set Xavier-normal weights and zero bias in every conv and linear layer of ``module``."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def build_vnet(width: float = 1.0) -> nn.Sequential:
    """Build Vnet: torchvision's VGG11 features with all five max-pools. (N,3,H,W) -> (N, 512 width, H/32, W/32)."""
    import_torchvision()
    from torchvision.models import vgg

    layout = [c if c == "M" else channels(int(c), width) for c in vgg.cfgs["A"]]
    vnet = vgg.make_layers(layout)
    for layer in vnet:
        if isinstance(layer, nn.Conv2d):  # as torchvision's VGG without pretrained weights
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return vnet


class Fnet(nn.Module):
    """Convolutions that widen the receptive field to 406 px, a global max pool, and the fully connected part.

    Vnet's features (N, 512 width, h, w) -> (N, 256 width). ``keep`` is the mask of the only dropout, see ``draw_keep``.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        inside, pooled, hidden, out = (channels(c, width) for c in (512, 2048, 8192, 256))
        self.convs = nn.Sequential(
            nn.Conv2d(inside, inside, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(inside, pooled, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(2, stride=1),
        )
        self.widen = nn.Linear(pooled, hidden)
        self.widen_norm = nn.GroupNorm(group_count(hidden, width), hidden)
        self.narrow = nn.Sequential(
            nn.LeakyReLU(LEAK),
            nn.Linear(hidden, pooled),
            nn.GroupNorm(group_count(pooled, width), pooled),
            nn.LeakyReLU(LEAK),
            nn.Linear(pooled, out),
            nn.GroupNorm(group_count(out, width), out),
            nn.LeakyReLU(LEAK),
        )
        self.hidden, self.out = hidden, out
        xavier_(self)

    def forward(self, features: Tensor, keep: Tensor | None = None) -> Tensor:
        vector = self.convs(features).flatten(2).max(2).values  # amax would split the gradient among equal maxima
        return self.head(vector, keep)

    def head(self, vector: Tensor, keep: Tensor | None = None) -> Tensor:
        """Apply the fully connected part alone: (N, 2048 width) -> (N, 256 width)."""
        wide = self.widen_norm(self.widen(vector))
        return self.narrow(_dropout(wide, keep, self.training))

    def draw_keep(self, samples: int, generator: torch.Generator) -> Tensor:
        """Draw the dropout mask (samples, hidden), bool.

        It is drawn outside the network, so that it depends only on the sample's position in the global batch, not on
        the rank or on global random state, and one mask serves both the forward pass and the penalty.
        """
        return torch.rand(samples, self.hidden, generator=generator) >= DROPOUT


def _dropout(value: Tensor, keep: Tensor | None, training: bool) -> Tensor:
    """Dropout with the mask ``keep``, or with a mask that torch draws if there is none."""
    if keep is None:
        return F.dropout(value, DROPOUT, training)
    return value * keep.to(value.dtype) / (1 - DROPOUT) if training else value


class Neck(nn.Module):
    """A small neck for other bodies: global max pool, dropout, one linear layer. (N,C,h,w) -> (N, out).

    ``keep`` is the mask of its one dropout, see ``draw_keep``.
    """

    def __init__(self, inside: int, out: int = 256) -> None:
        super().__init__()
        self.hidden, self.out = inside, out
        self.widen = xavier_(nn.Sequential(nn.Linear(inside, out), nn.GroupNorm(8, out), nn.LeakyReLU(LEAK)))

    def forward(self, features: Tensor, keep: Tensor | None = None) -> Tensor:
        vector = features.flatten(2).max(2).values
        return self.widen(_dropout(vector, keep, self.training))

    def draw_keep(self, samples: int, generator: torch.Generator) -> Tensor:
        """Draw the dropout mask (samples, hidden), bool, as ``Fnet.draw_keep`` does."""
        return torch.rand(samples, self.hidden, generator=generator) >= DROPOUT


class Critic(nn.Module):
    """A body, a neck and a last linear layer: the architecture shared by the CAD and the discriminator.

    The study's body is Vnet, its neck Fnet. A classifier with other parts overrides ``make_body`` and ``make_neck``;
    whatever they are, they are called ``vnet`` and ``fnet`` in checkpoints, in options and in the study's phases.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, outputs: int, width: float = 1.0) -> None:
        super().__init__()
        self.width = width
        self.vnet = self.make_body(width)
        self.fnet = self.make_neck(width)
        self.last = xavier_(nn.Linear(self.fnet.out, outputs))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def make_body(self, width: float) -> nn.Module:
        """Build what maps normalised mammograms (N,3,H,W) to features (N,C,h,w)."""
        return build_vnet(width)

    def make_neck(self, width: float) -> Fnet | Neck:
        """Build what maps those features to one vector (N, out) for each mammogram."""
        return Fnet(width)

    @classmethod
    def classifier(cls, width: float = 1.0) -> Critic:
        """Build a classifier of this architecture, with two logits."""
        return cls(2, width)

    def discriminator(self) -> Critic:
        """Build a discriminator of this architecture: one logit; body and neck as they are here, a new last layer.

        The last layer's weights are Xavier, drawn from torch's global random generator.
        """
        built = self._with_one_logit()
        built.vnet.load_state_dict(self.vnet.state_dict())
        built.fnet.load_state_dict(self.fnet.state_dict())
        return built

    def _with_one_logit(self) -> Critic:
        return type(self)(1, self.width)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Repeat pixels (N,1,H,W), in [0,1] or uint16, to three channels (N,3,H,W) and apply ImageNet mean and std."""
        return (unit_pixels(pixels) - self.mean) / self.std

    def score(self, normalised: Tensor, keep: Tensor | None = None) -> Tensor:
        """Normalised (N,3,H,W) -> logits (N, outputs). The penalty differentiates this with respect to its input."""
        return self.last(self.fnet(self.vnet(normalised), keep))

    def forward(self, pixels: Tensor, keep: Tensor | None = None) -> Tensor:
        return self.score(self.normalise(pixels), keep)

    @torch.inference_mode()
    def positive_probability(self, pixels: Tensor) -> Tensor:
        """Probability of cancer (N,) in [0,1] of a classifier: the softmax of its logits at class positive, float32."""
        return at_least_float32(self(pixels)).softmax(1)[:, 1]


class Cad(Critic):
    """The classifier (CAD). Pixels (N,1,H,W) in [0,1] or uint16 -> logits (N,2): class 0 negative, class 1 positive.

    55,130,242 parameters at width 1. The published code has the classes in the opposite order.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(2, width)

    @classmethod
    def classifier(cls, width: float = 1.0) -> Critic:
        return cls(width)

    def _with_one_logit(self) -> Critic:
        return Discriminator(self.width)


class Discriminator(Critic):
    """Dnet on Vnet: pixels -> one logit (N,1) per mammogram. Vnet and Fnet start with the trained CAD's weights."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(1, width)


class Gnet(nn.Module):
    """U-Net that makes adversarial mammograms. Pixels (N,1,H,W) in [0,1] or uint16 -> (N,1,H,W) in [0,1].

    The output is at least float32. 25,197,313 parameters at width 1 with batch norm. H and W are multiples of 32.
    """

    ENCODER = (64, 128, 256, 512, 512, 512)
    DECODER = (512, 256, 128, 64, 64)

    def __init__(self, width: float = 1.0, norm: str = "batch") -> None:
        super().__init__()
        if norm not in ("batch", "group"):
            raise ValueError(f"norm {norm!r}: expected batch (published code) or group (paper)")
        down = [channels(c, width) for c in self.ENCODER]
        up = [channels(c, width) for c in self.DECODER]
        ins = [1, *down[:-1]]
        self.encoder = nn.ModuleList(_block(i, o, width, norm) for i, o in zip(ins, down, strict=True))
        below = [down[-1], *up[:-1]]
        skips = down[-2::-1]
        self.decoder = nn.ModuleList(_block(s + b, o, width, norm) for s, b, o in zip(skips, below, up, strict=True))
        self.last = nn.Conv2d(up[-1], 1, 3, padding=1)
        xavier_(self)

    def forward(self, pixels: Tensor) -> Tensor:
        normalised = (unit_pixels(pixels) - IMAGENET_MEAN[0]) / IMAGENET_STD[0]
        return torch.sigmoid(at_least_float32(self.logit(normalised.to(self.last.weight.dtype))))

    def logit(self, normalised: Tensor) -> Tensor:
        """Pixels (N,1,H,W), normalised like the first input channel -> logits of the adversarial pixels, same shape."""
        skips = []
        value = normalised
        for level, block in enumerate(self.encoder):
            value = block(value if level == 0 else F.avg_pool2d(value, 2))
            skips.append(value)
        skips.pop()
        for block in self.decoder:
            upper = F.interpolate(value, scale_factor=2, mode="bilinear", align_corners=True)
            value = block(torch.cat([skips.pop(), upper], 1))
        return self.last(value)


def _block(ins: int, outs: int, width: float, norm: str) -> nn.Sequential:
    def normed() -> nn.Module:
        return nn.BatchNorm2d(outs) if norm == "batch" else nn.GroupNorm(group_count(outs, width), outs)

    return nn.Sequential(
        nn.Conv2d(ins, outs, 3, padding=1),
        normed(),
        nn.LeakyReLU(LEAK, inplace=True),
        nn.Conv2d(outs, outs, 3, padding=1),
        normed(),
        nn.LeakyReLU(LEAK, inplace=True),
    )
