"""The study's networks (section 3): Vnet, Fnet, CAD, discriminator, Gnet.

All public calls take pixels in [0, 1] of shape (N, 1, H, W), or uint16; normalisation happens inside.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mammogan.models.torchvision_import import import_torchvision

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
AIR = 0.005
"""Of full scale: pixels up to it are air, not breast; 327 of 65535."""
DROPOUT = 0.2
LEAK = 0.2


def channels(count: int, width: float) -> int:
    """A channel count of the study scaled by ``width``: a multiple of 8, at least 16, exact at width 1."""
    return count if width == 1 else max(16, 8 * round(count * width / 8))


def group_count(count: int, width: float) -> int:
    """Groups of a GroupNorm over ``count`` channels: the study's 32, fewer in narrower networks.

    With one value a group, GroupNorm outputs its bias whatever comes in; 8 values a group keep the head alive.
    """
    limit = 32 if width >= 1 else min(32, count // 8)
    return max(g for g in range(1, limit + 1) if count % g == 0)


def unit_pixels(pixels: Tensor) -> Tensor:
    """uint16 in [0, 65535] as float32 in [0, 1]; floats are returned as they are."""
    return pixels.to(torch.float32) / 65535 if pixels.dtype == torch.uint16 else pixels


def tissue(pixels: Tensor) -> Tensor:
    """Where there is breast, not air: bool, of the shape of ``pixels``, which are in [0, 1] or uint16."""
    return unit_pixels(pixels) > AIR


def at_least_float32(value: Tensor) -> Tensor:
    """Half precision as float32, anything wider as it is: for what does not fit a half (sums, exponentials, powers)."""
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def to_uint16(pixels: Tensor) -> Tensor:
    """Floats in [0, 1] as uint16, rounded half to even: how an altered mammogram is saved (section 2)."""
    return (pixels.float() * 65535).round_().clamp_(0, 65535).to(torch.uint16)


def xavier_(module: nn.Module) -> nn.Module:
    """Xavier-normal weights and zero bias in every conv and linear layer of ``module``."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def build_vnet(width: float = 1.0) -> nn.Sequential:
    """Vnet: torchvision's VGG11 features with all five max-pools. (N,3,H,W) -> (N, 512 width, H/32, W/32)."""
    import_torchvision()
    from torchvision.models import vgg

    layout = [c if c == "M" else channels(int(c), width) for c in vgg.cfgs["A"]]
    vnet = vgg.make_layers(layout)
    for layer in vnet:
        if isinstance(layer, nn.Conv2d):  # what torchvision's VGG does without weights
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return vnet


class Fnet(nn.Module):
    """Convolutions with a receptive field of 406 px on Vnet's, global max pool, and the fully connected part.

    (N, 512 width, h, w) -> (N, 256 width). ``keep`` is a mask of the one dropout, see ``draw_keep``.
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
        vector = self.convs(features).flatten(2).max(2).values  # amax would share the gradient among equals
        return self.head(vector, keep)

    def head(self, vector: Tensor, keep: Tensor | None = None) -> Tensor:
        """The fully connected part alone. (N, 2048 width) -> (N, 256 width)."""
        wide = self.widen_norm(self.widen(vector))
        return self.narrow(self._dropout(wide, keep))

    def _dropout(self, wide: Tensor, keep: Tensor | None) -> Tensor:
        if keep is None:
            return F.dropout(wide, DROPOUT, self.training)
        return wide * keep.to(wide.dtype) / (1 - DROPOUT) if self.training else wide

    def draw_keep(self, samples: int, generator: torch.Generator) -> Tensor:
        """Dropout mask (samples, hidden), bool. Drawn outside the network so that it depends on the sample's place in
        the global batch alone, not on the rank or on global state, and one mask serves forward and penalty."""
        return torch.rand(samples, self.hidden, generator=generator) >= DROPOUT


class Critic(nn.Module):
    """Vnet, Fnet and a last linear layer: what the CAD and the discriminator have in common."""

    mean: Tensor
    std: Tensor

    def __init__(self, outputs: int, width: float = 1.0) -> None:
        super().__init__()
        self.width = width
        self.vnet = build_vnet(width)
        self.fnet = Fnet(width)
        self.last = xavier_(nn.Linear(self.fnet.out, outputs))
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels (N,1,H,W) in [0,1] or uint16 -> (N,3,H,W): repeated to three channels, ImageNet mean and std."""
        return (unit_pixels(pixels) - self.mean) / self.std

    def score(self, normalised: Tensor, keep: Tensor | None = None) -> Tensor:
        """Normalised (N,3,H,W) -> logits (N, outputs). The penalty differentiates this with respect to its input."""
        return self.last(self.fnet(self.vnet(normalised), keep))

    def forward(self, pixels: Tensor, keep: Tensor | None = None) -> Tensor:
        return self.score(self.normalise(pixels), keep)


class Cad(Critic):
    """The classifier. Pixels (N,1,H,W) in [0,1] or uint16 -> logits (N,2), negative 0, positive 1.

    55,130,242 parameters at width 1. The published code has the classes the other way round.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(2, width)

    def positive_probability(self, pixels: Tensor) -> Tensor:
        """(N,) in [0,1]: softmax of the logits at class positive, in float32."""
        return at_least_float32(self(pixels)).softmax(1)[:, 1]


class Discriminator(Critic):
    """Dnet on Vnet: pixels -> one logit (N,1) per mammogram; Vnet and Fnet start as the trained CAD's."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(1, width)

    @classmethod
    def born_from(cls, cad: Cad) -> Discriminator:
        """A discriminator with the CAD's Vnet and Fnet and a new last layer (Xavier, from the global generator)."""
        born = cls(cad.width)
        born.vnet.load_state_dict(cad.vnet.state_dict())
        born.fnet.load_state_dict(cad.fnet.state_dict())
        return born


class Gnet(nn.Module):
    """U-Net that alters mammograms. Pixels (N,1,H,W) in [0,1] or uint16 -> altered pixels in [0,1], float32.

    25,197,313 parameters at width 1 with batch norm. H and W are multiples of 32.
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
        """First-channel normalised (N,1,H,W) -> logits of the altered pixels, same shape."""
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


def receptive_field(*parts: nn.Module) -> tuple[int, int]:
    """Receptive field and stride, in input pixels, of convolutions and poolings applied one after the other."""
    field, stride = 1, 1
    for part in parts:
        for layer in part.modules():
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
                kernel, step = _side(layer.kernel_size), _side(layer.stride)
                field += (kernel - 1) * stride
                stride *= step
    return field, stride


def _side(value: int | tuple[int, ...]) -> int:
    return value if isinstance(value, int) else value[0]
