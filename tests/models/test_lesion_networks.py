"""Networks and losses of the lesion objective: they begin as the identity, leave air alone, and are their equations."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from mammogan.config import GanConfig, LesionConfig, PenaltyConfig
from mammogan.errors import UserError
from mammogan.models.lesion import Grid, LesionCritic, LesionGenerator, enlarged
from mammogan.training.lesion_steps import LesionCriticStep, LesionGeneratorStep

CONFIG = LesionConfig(sparse=3.0, fixed_point=5.0, untouched=0.7, r1=0.4, r1_every=4)


def mammograms(n: int = 2, seed: int = 0) -> torch.Tensor:
    """Float64 (n,1,96,96), the right third air."""
    pixels = 0.2 + 0.6 * torch.rand(n, 1, 96, 96, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    pixels[..., 64:] = 0.0
    return pixels


def networks(cells: int = 24) -> tuple[LesionGenerator, LesionCritic]:
    torch.manual_seed(1)
    grid = Grid.of(96, cells)
    return LesionGenerator(grid, 0.1).double(), LesionCritic(grid, 0.1).double()


@pytest.mark.parametrize(
    ("height", "cells", "cell", "fine"),
    [(192, 48, 4, 0), (192, 96, 2, 1), (1024, 48, 16, 0), (1728, 48, 32, 0), (1728, 96, 16, 1), (96, 48, 2, 0)],
)
def test_a_cell_is_a_power_of_two_and_a_finer_grid_has_a_level_more(
    height: int, cells: int, cell: int, fine: int
) -> None:
    assert Grid.of(height, cells) == Grid(cell, fine)


def test_at_the_start_the_generator_changes_next_to_nothing() -> None:
    generator, _ = networks()
    pixels = mammograms()
    assert (generator(pixels) - pixels).abs().max() < 0.02


@pytest.mark.parametrize(("cells", "levels"), [(48, 0), (96, 1)])
def test_a_new_critic_passes_on_what_differs_between_pictures(cells: int, levels: int) -> None:
    # With torch's own weights the features shrink in each layer, and every picture gets the same logit.
    torch.manual_seed(0)
    pictures = F.interpolate(torch.rand(8, 1, 24, 20), (192, 160))
    spreads = []
    for seed in range(5):
        torch.manual_seed(seed)
        critic = LesionCritic(Grid.of(192, cells), 0.25)
        assert critic.grid.fine_levels == levels
        spreads.append(critic(pictures).detach().std().item())
    assert min(spreads) > 0.05, "that of a living critic"


def test_the_air_keeps_its_bits_and_tissue_stays_in_range_whatever_the_map() -> None:
    generator, _ = networks()
    pixels = mammograms()
    pixels[..., 70:] = 0.004  # light in the air of the source
    for change in (-0.5, 0.5):
        made = generator.apply_map(pixels, torch.full((2, 1, 24, 24), change, dtype=torch.float64))
        assert torch.equal(made[..., 64:], pixels[..., 64:])
        assert made.min() >= 0 and made.max() <= 1


@pytest.mark.parametrize("cells", [24, 96])
def test_sizes_that_do_not_halve_evenly_are_fine(cells: int) -> None:
    grid = Grid.of(160, cells)
    generator, critic = LesionGenerator(grid, 0.1), LesionCritic(grid, 0.1)
    pixels = torch.rand(1, 1, 160, 96)
    assert generator(pixels).shape == pixels.shape
    assert critic(pixels).shape == (1, 1)


def test_the_critics_loss_is_equation_l1() -> None:
    generator, critic = networks()
    x, y = mammograms(seed=1), mammograms(seed=2)
    made = generator(y).detach()
    found = LesionCriticStep(critic, CONFIG)(x, y, made, True)
    plain = F.softplus(-critic(x)).mean() + F.softplus(critic(made)).mean() + 0.7 * F.softplus(critic(y)).mean()
    cells = F.avg_pool2d(x, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(critic.judge(cells).sum(), cells)
    r1 = 0.4 / 2 * gradient.square().sum() / len(x)
    torch.testing.assert_close(found["loss"], plain + 4 * r1)
    torch.testing.assert_close(LesionCriticStep(critic, CONFIG)(x, y, made, False)["loss"], plain)


def test_the_generators_loss_is_equation_l2_and_leaves_the_critic_without_gradient() -> None:
    generator, critic = networks()
    x, y = mammograms(seed=1), mammograms(seed=2)
    found = LesionGeneratorStep(generator, critic, CONFIG)(x, y)
    plain = F.softplus(-critic(generator(y))).mean() + 3 * generator.map(y).abs().mean()
    plain = plain + 5 * generator.map(x).abs().mean()
    torch.testing.assert_close(found["loss"], plain)
    found["loss"].backward()
    assert all(p.grad is None for p in critic.parameters())
    assert all(p.grad is not None for p in generator.parameters())


def test_a_map_is_enlarged_to_its_pixels_and_keeps_its_mean() -> None:
    cells = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    large = enlarged(cells, 4)
    assert large.shape == (1, 1, 32, 32)
    assert math.isclose(float(large.mean()), float(cells.mean()), rel_tol=0.05)


def test_settings_of_the_other_objective_are_refused_by_name() -> None:
    with pytest.raises(
        UserError, match=r"--penalty\.\*, .*--objective study alone|--penalty\.\*.*of --objective study"
    ):
        GanConfig(objective="lesion", penalty=PenaltyConfig(k=5.0))
    with pytest.raises(UserError, match="--lr-gnet"):
        GanConfig(objective="lesion", lr_gnet=1e-3)
    with pytest.raises(UserError, match=r"--lesion\.\*"):
        GanConfig(lesion=LesionConfig(sparse=1.0))
    assert GanConfig(objective="lesion", lesion=LesionConfig(sparse=1.0), width=0.5, seed=3).width == 0.5
