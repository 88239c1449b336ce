"""Augmentation: one affine on the device that keeps 16 bits and depends on the place in the batch alone."""

from __future__ import annotations

import math

import pytest
import torch

from mammogan.data.loading.augment import Augmentation, Drawn
from mammogan.models.networks import to_uint16, unit_pixels


def drawn(rotation: float = 0.0, shear: float = 0.0, scale: float = 1.0, flip: bool = False) -> Drawn:
    one = torch.ones(1, dtype=torch.float64)
    return Drawn(
        torch.tensor([flip]), one * math.radians(rotation), one * math.radians(shear), one * scale, 0 * one, True
    )


def random_mammogram(height: int = 96, width: int = 128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 65536, (1, 1, height, width), generator=generator).to(torch.uint16)


def test_sixteen_bits_survive_when_nothing_is_resampled() -> None:
    stored = random_mammogram()
    unchanged = Augmentation(rotation=0, shear=0, flip=0).draw(1, torch.Generator())
    assert torch.equal(to_uint16(unchanged.apply(unit_pixels(stored))), stored)
    flipped = Augmentation(rotation=0, shear=0, flip=1).draw(1, torch.Generator())
    assert torch.equal(to_uint16(flipped.apply(unit_pixels(stored))), stored.to(torch.int32).flip(2).to(torch.uint16))


def test_resampling_interpolates_between_neighbours_with_more_than_eight_bits() -> None:
    ramp = torch.linspace(0, 1, 128, dtype=torch.float64).expand(1, 1, 96, 128)
    halved = drawn(scale=2.0).apply(ramp)
    column = torch.arange(128, dtype=torch.float64)
    expected = ((column - 63.5) / 2 + 63.5) / 127
    torch.testing.assert_close(halved[0, 0, 48], expected, atol=1e-9, rtol=0)
    assert len(to_uint16(drawn(rotation=20).apply(ramp.float())).to(torch.int32).unique()) > 5000


def test_rotation_by_a_right_angle_moves_every_pixel_of_a_square_to_its_place() -> None:
    square = torch.rand(1, 1, 96, 96, dtype=torch.float64)
    turned = drawn(rotation=90).apply(square)
    torch.testing.assert_close(turned, torch.rot90(square, -1, (2, 3)), atol=1e-9, rtol=0)


def test_shear_moves_columns_by_their_distance_from_the_middle_row_also_in_oblong_pictures() -> None:
    point = torch.zeros(1, 1, 97, 129, dtype=torch.float64)
    point[0, 0, 48 + 10, 64] = 1
    moved = drawn(shear=45).apply(point)
    assert moved.sum().item() == pytest.approx(1, abs=1e-6)
    assert moved[0, 0, 48 + 10, 64 - 10].item() == pytest.approx(1, abs=1e-6)


def test_what_leaves_the_picture_is_black_behind_it() -> None:
    shrunk = drawn(scale=0.5).apply(torch.ones(1, 1, 96, 96))
    assert shrunk[0, 0, 0].max() == 0 and shrunk[0, 0, 48, 48] == 1


def test_each_mammogram_keeps_its_draw_when_the_batch_is_divided_over_ranks() -> None:
    augmentation = Augmentation(scale=(0.5, 2.0))
    batch = torch.rand(4, 1, 96, 96)
    whole = augmentation.draw(4, torch.Generator().manual_seed(3))
    parts = [whole[low : low + 2].apply(batch[low : low + 2]) for low in (0, 2)]
    torch.testing.assert_close(torch.cat(parts), whole.apply(batch))


def test_draws_stay_in_their_ranges_and_fill_them() -> None:
    many = Augmentation(rotation=45, shear=30, scale=(0.5, 2.0)).draw(4000, torch.Generator().manual_seed(0))
    assert many.rotation.rad2deg().abs().max() <= 45 and many.rotation.rad2deg().min() < -44
    assert many.shear.rad2deg().abs().max() <= 30 and many.shear.rad2deg().max() > 29
    assert many.scale.min() >= 0.5 and many.scale.max() <= 2 and many.scale.max() > 1.98
    assert 0.45 < many.flip.double().mean() < 0.55
