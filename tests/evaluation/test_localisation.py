"""Where a change sits: known maps give known numbers, and maps without a highest pixel are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mammogan.errors import UserError
from mammogan.evaluation.beyond.localisation import (
    compactness,
    energy_of,
    input_gradient,
    overlap,
    overlap_by_chance,
    share_in,
    top_pixels,
)

SIDE = 40
BREAST = np.zeros((SIDE, SIDE), bool)
BREAST[:, :20] = True


def test_an_even_change_needs_half_the_breast_for_half_its_energy_and_one_pixel_nearly_none() -> None:
    assert compactness(np.ones((SIDE, SIDE)), BREAST) == 0.5
    one = np.zeros((SIDE, SIDE))
    one[3, 4] = 1
    assert compactness(one, BREAST) == 1 / BREAST.sum()
    assert compactness(np.where(BREAST, 0.0, 1.0), BREAST) is None


def test_energy_does_not_overflow_in_sixteen_bits() -> None:
    dark, bright = np.zeros((1, 1), np.uint16), np.full((1, 1), 65535, np.uint16)
    assert energy_of(bright, dark)[0, 0] == energy_of(dark, bright)[0, 0] == 1.0


def test_the_share_in_a_region_of_no_change_is_not_known() -> None:
    assert share_in(np.ones((SIDE, SIDE)), BREAST) == 0.5
    assert share_in(np.zeros((SIDE, SIDE)), BREAST) is None


def test_exactly_the_wanted_share_of_the_breast_is_compared_also_with_ties() -> None:
    values = np.zeros((SIDE, SIDE))
    values[0, 0] = 1
    chosen = top_pixels(values, BREAST, 0.05)
    assert chosen.sum() == round(0.05 * BREAST.sum()) and chosen[0, 0] and not chosen[~BREAST].any()


@pytest.mark.parametrize("constant", [np.zeros((SIDE, SIDE)), np.where(BREAST, 3.0, 7.0)])
def test_a_map_that_is_constant_in_the_breast_is_refused(constant: np.ndarray) -> None:
    with pytest.raises(UserError, match="constant"):
        overlap(constant, np.random.default_rng(0).random((SIDE, SIDE)), BREAST)


def test_equal_maps_overlap_completely_and_unrelated_ones_by_chance() -> None:
    draws = np.random.default_rng(0)
    one = draws.random((SIDE, SIDE))
    assert overlap(one, one * 2 + 1, BREAST) == 1
    found = [overlap(draws.random((SIDE, SIDE)), draws.random((SIDE, SIDE)), BREAST) for _ in range(200)]
    assert abs(np.mean(found) - overlap_by_chance()) < 0.01


def test_the_input_gradient_is_that_of_the_margin() -> None:
    weights = torch.arange(16, dtype=torch.float32).view(4, 4) - 5

    class Linear:
        def logits(self, pixels: Tensor) -> Tensor:
            score = (pixels[:, 0] * weights).sum((1, 2))
            return torch.stack([-score, score], 1)

    images = np.random.default_rng(1).integers(0, 65535, (3, 4, 4)).astype(np.uint16)
    np.testing.assert_allclose(input_gradient(Linear(), images), np.broadcast_to(2 * weights.abs().numpy(), (3, 4, 4)))
