"""The networks are the study's: sizes, receptive field, shapes, normalisation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mammogan.models.networks import Cad, Critic, Gnet, group_count, to_uint16, unit_pixels


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module")
def cad_on_meta() -> Cad:
    with torch.device("meta"):
        return Cad()


def test_vnet_is_vgg11_features_with_its_parameter_count(cad_on_meta: Cad) -> None:
    assert len(cad_on_meta.vnet) == 21
    assert parameters(cad_on_meta.vnet) == 9_220_480


def test_cad_has_the_published_parameter_count(cad_on_meta: Cad) -> None:
    assert parameters(cad_on_meta) == 55_130_242


def test_gnet_has_the_published_parameter_count() -> None:
    with torch.device("meta"):
        assert parameters(Gnet()) == 25_197_313


def receptive_field(*parts: nn.Module) -> tuple[int, int]:
    """Compute receptive field and stride, in input pixels, of convolutions and poolings applied one after the other."""
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


def test_receptive_field_is_150_after_vnet_and_406_before_the_global_pool(cad_on_meta: Cad) -> None:
    assert receptive_field(cad_on_meta.vnet) == (150, 32)
    assert receptive_field(cad_on_meta.vnet, cad_on_meta.fnet.convs) == (406, 64)


def test_gradient_footprint_of_one_pooled_value_is_406_pixels() -> None:
    critic = Cad(width=0.05).double()
    for layer in critic.modules():
        if isinstance(layer, nn.Conv2d):  # all positive: no path is cut by a ReLU
            nn.init.uniform_(layer.weight, 0.1, 0.2)
    pools = [i for i, m in enumerate(critic.vnet) if isinstance(m, nn.MaxPool2d)]
    for i in pools:  # a maximum sends gradient to one of four; an average shows all that it looks at
        critic.vnet[i] = nn.AvgPool2d(2)
    x = torch.rand(1, 3, 960, 128, dtype=torch.float64, requires_grad=True)
    features = critic.fnet.convs(critic.vnet(x))
    features[0, :, features.shape[2] // 2, 0].sum().backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 406


@pytest.mark.parametrize(("height", "width", "map_size"), [(1728, 1408, (26, 21)), (1024, 832, (15, 12))])
def test_map_sizes_at_the_studys_resolutions(
    cad_on_meta: Cad, height: int, width: int, map_size: tuple[int, int]
) -> None:
    with torch.device("meta"):
        features = cad_on_meta.vnet(torch.empty(1, 3, height, width))
        assert features.shape == (1, 512, height // 32, width // 32)
        assert cad_on_meta.fnet.convs(features).shape == (1, 2048, *map_size)
        assert Gnet()(torch.empty(1, 1, height, width)).shape == (1, 1, height, width)


def test_fnet_has_exactly_one_dropout_after_the_first_norm_and_one_mask_serves_two_passes() -> None:
    torch.manual_seed(0)
    cad = Cad(width=0.05).train()
    pixels = torch.rand(2, 1, 96, 96)
    keep = cad.fnet.draw_keep(2, torch.Generator().manual_seed(1))
    assert torch.equal(cad(pixels, keep), cad(pixels, keep))
    assert not torch.equal(cad(pixels), cad(pixels))
    cad.eval()
    assert torch.equal(cad(pixels), cad(pixels, keep))
    other = keep.clone()
    other[0] ^= True
    cad.train()
    assert not torch.equal(cad(pixels, keep)[0], cad(pixels, other)[0])
    assert torch.equal(cad(pixels, keep)[1], cad(pixels, other)[1])


def test_normalisation_is_inside_and_takes_uint16() -> None:
    torch.manual_seed(0)
    cad = Cad(width=0.05).eval()
    stored = torch.randint(0, 65536, (1, 1, 96, 96)).to(torch.uint16)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    by_hand = (stored.float() / 65535 - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    torch.testing.assert_close(cad.normalise(stored), by_hand)
    torch.testing.assert_close(cad(stored), cad.score(by_hand))


def test_sixteen_bits_survive_the_way_to_floats_and_back() -> None:
    every_value = torch.arange(65536, dtype=torch.int32).to(torch.uint16)
    assert torch.equal(to_uint16(unit_pixels(every_value)), every_value)


def test_discriminator_is_born_from_the_cad_with_a_new_last_layer() -> None:
    cad = Cad(width=0.05)
    born = cad.discriminator()
    for mine, theirs in zip(born.vnet.parameters(), cad.vnet.parameters(), strict=True):
        assert torch.equal(mine, theirs) and mine is not theirs
    assert torch.equal(born.fnet.widen.weight, cad.fnet.widen.weight)
    assert born(torch.rand(2, 1, 96, 96)).shape == (2, 1)


@pytest.mark.parametrize("width", [0.05, 0.1, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5])
def test_a_narrow_head_keeps_groups_of_eight_and_stays_alive(width: float) -> None:
    for count in (256, 2048, 8192):
        scaled = 256 if width == 1 else max(16, 8 * round(count * width / 8))
        assert scaled / group_count(scaled, width) >= 8
    if width <= 0.25:
        torch.manual_seed(0)
        critic = Critic(1, width)
        pixels = torch.rand(2, 1, 96, 96)
        critic(pixels).sum().backward()
        gradient = next(critic.vnet.parameters()).grad
        assert gradient is not None and gradient.abs().sum() > 0


def test_the_full_size_networks_have_the_papers_32_groups() -> None:
    with torch.device("meta"):
        norms = [m for net in (Cad(), Gnet(norm="group")) for m in net.modules() if isinstance(m, nn.GroupNorm)]
    assert len(norms) == 3 + 22 and {n.num_groups for n in norms} == {32}


def test_gnet_returns_pixels_between_zero_and_one_of_the_same_shape() -> None:
    fake = Gnet(width=0.05)(torch.randint(0, 65536, (2, 1, 96, 128)).to(torch.uint16))
    assert fake.shape == (2, 1, 96, 128) and fake.dtype == torch.float32
    assert fake.min() >= 0 and fake.max() <= 1


def test_an_unknown_norm_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"layer.*batch"):
        Gnet(width=0.05, norm="layer")
