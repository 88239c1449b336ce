"""The paper's side of each difference between paper and published code (README): each switch against its equation.

The equations are written out here in plain torch; of the package only the networks are taken.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import checked
from torch import Tensor, nn
from training_states import run_of
from trainings import CAD, COMPUTE, GAN

from mammogan.config import CadConfig, GanConfig
from mammogan.models.networks import Cad, Critic, Discriminator, Gnet
from mammogan.training.cad import train_cad
from mammogan.training.cad_step import CadStep
from mammogan.training.gan import train_gan
from mammogan.training.gan_state import GanTraining
from mammogan.training.gan_steps import DiscriminatorStep, GeneratorStep
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.checkpoint import load
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)
N, SIDE = 2, 96
QUICK = replace(COMPUTE, save_minutes=9.0)

TINY = {"width": 0.05, "pairs": 2, "compute": {"device": "cpu", "loader-workers": 0, "tensorboard": False}}
PAPER: dict[str, dict[str, Any]] = {
    "cad": {**TINY, "vgg-weights": "none", "epochs": 1, "epoch-batches": 3, "focal-alpha": 1, "focal-detach": False},
    "gan": {
        **TINY,
        "epochs": [1] * 5,
        "epoch-batches": 2,
        "gnet-every": 1,
        "stabiliser": "paper",
        "allow-weak-cad": True,
    }
    | {"gnet-norm": "group", "gan-scale": True, "stop-rules": True},
}
"""Tiny trainings with every switch on the paper's side."""


def recorded(run: Run, *names: str) -> list[Any]:
    return [yaml.safe_load((run.path / "config.yaml").read_text())["config"][name] for name in names]


def test_trainings_with_all_of_the_paper_s_switches_end_and_record_them(workspace: Workspace, tmp_path: Path) -> None:
    train = {"cad": ("launch/train_cad.py",), "gan": ("launch/train_gan.py", "--direction", "remove")}
    for name, options in PAPER.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(options))
        words = ["--workspace", workspace.root, "--config", tmp_path / f"{name}.yaml", "--cluster", "none"]
        checked(*train[name], *words)
    cad, gan = run_of("cad", workspace), run_of("remove", workspace)
    assert cad.done.is_file() and gan.done.is_file()
    assert recorded(cad, "focal_alpha", "focal_detach") == [1, False]
    assert recorded(gan, "stabiliser", "gnet_norm", "gan_scale", "stop_rules") == ["paper", "group", True, True]
    phases = [event["phase"] for event in events(gan) if event["event"] == "phase"]
    assert phases == ["warm-gnet", "warm-dnet", "last-layer", "head", "all"]
    assert load(gan.newest)["gnet_norm"] == "group"


def test_the_study_takes_the_same_settings_in_its_sections(tmp_path: Path, converted: Workspace) -> None:
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(PAPER))
    words = ["--workspace", converted.root, "--config", tmp_path / "study.yaml", "--cluster", "none", "--dry-run"]
    told = checked("launch/study.py", *words).splitlines()
    cad, remove, insert = (line.split() for line in told if "mammogan train-" in line)
    assert {"--focal-alpha=1", "--no-focal-detach"} <= set(cad)
    assert {"--stabiliser=paper", "--gnet-norm=group", "--gan-scale"} <= set(remove) & set(insert)
    assert "--no-stop-rules" not in {*remove, *insert}, "the rules are the default, which needs no word"


def after_two_steps(network: nn.Module, losses: Callable[[int], Tensor]) -> Tensor:
    """All weights, in one vector, after two steps of gradient descent on ``losses`` of step 0 and 1."""
    descent = torch.optim.SGD(network.parameters(), lr=0.05)
    for step in range(2):
        descent.zero_grad()
        losses(step).backward()
        descent.step()
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def same(first: Tensor, second: Tensor) -> bool:
    return torch.allclose(first, second, rtol=1e-9, atol=1e-12)


def two_batches(network: Critic) -> tuple[Tensor, Tensor]:
    """Pixels (2, 2N, 1, SIDE, SIDE) of two batches, and their dropout masks."""
    draws = torch.Generator().manual_seed(3)
    pixels = torch.rand(2, 2 * N, 1, SIDE, SIDE, generator=draws, dtype=torch.float64)
    return pixels, torch.stack([network.fnet.draw_keep(2 * N, draws) for _ in range(2)])


def logits_and_penalties(network: Critic, pixels: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and (k/2) ||g||^o of each mammogram with k = 10, o = 4 and g the gradient of the sum of its logits."""
    mean, std = (value.float().double().view(1, 3, 1, 1) for value in (MEAN, STD))  # critics keep them as float32
    normalised = ((pixels - mean) / std).requires_grad_()
    logits = network.score(normalised, keep)
    (gradient,) = torch.autograd.grad(logits.sum(), normalised, create_graph=True)
    return logits, 5 * gradient.square().sum((1, 2, 3)) ** 2


def eq_1_to_3(cad: Critic, pixels: Tensor, keep: Tensor, alpha: float, constant_weight: bool) -> Tensor:
    """FL(pos) + FL(neg) + GP(pos, neg), the positives first."""
    logits, penalties = logits_and_penalties(cad, pixels, keep)
    positive = torch.exp(logits[:, 1]) / torch.exp(logits).sum(1)
    p = torch.cat([positive[:N], 1 - positive[N:]])
    weight = (1 - p.detach() if constant_weight else 1 - p) ** 2
    fl = -alpha * weight * torch.log(p)
    return fl[:N].mean() + fl[N:].mean() + penalties[:N].mean() + penalties[N:].mean()


def test_focal_alpha_and_a_focal_weight_that_is_differentiated_or_not_each_follow_eq_1() -> None:
    torch.manual_seed(0)
    start = Cad(0.05).double()
    pixels, keep = two_batches(start)
    choices = list(itertools.product((0.5, 1.0), (True, False)))

    def by_the_package(alpha: float, detach: bool) -> Tensor:
        step = CadStep(deepcopy(start), CadConfig(focal_alpha=alpha, focal_detach=detach))
        return after_two_steps(step.cad, lambda i: step(pixels[i, :N], pixels[i, N:], keep[i])["loss"])

    def by_the_equation(alpha: float, detach: bool) -> Tensor:
        cad = deepcopy(start)
        return after_two_steps(cad, lambda i: eq_1_to_3(cad, pixels[i], keep[i], alpha, detach))

    expected = {choice: by_the_equation(*choice) for choice in choices}
    for choice in choices:
        found = by_the_package(*choice)
        assert [other for other in choices if same(found, expected[other])] == [choice]
    assert (CadConfig().focal_alpha, CadConfig().focal_detach) == (0.5, True), "the published code's are the defaults"


def eq_4(critic: Critic, pixels: Tensor, keep: Tensor, stabiliser: str) -> Tensor:
    """-Dis(x) + Dis(y_fn) + S + GP(x), the real mammograms x first."""
    logits, penalties = logits_and_penalties(critic, pixels[:N], keep[:N])
    fakes, _ = logits_and_penalties(critic, pixels[N:], keep[N:])
    real, fake = (-torch.log(1 + torch.exp(-scores)) for scores in (logits, fakes))
    s = (real - 1).abs().mean() if stabiliser == "paper" else ((-real).mean() - 1).abs()
    return -real.mean() + fake.mean() + s + penalties.mean()


def of_a_discriminator(start: Critic, stabiliser: Any) -> tuple[Tensor, float]:
    """Weights after two steps of the package, and the loss of the first."""
    step = DiscriminatorStep(deepcopy(start), GanConfig(stabiliser=stabiliser), lambda value: value)
    pixels, keep = two_batches(start)
    first = step(pixels[0, :N], pixels[0, N:], keep[0])["loss"].item()
    return after_two_steps(step.critic, lambda i: step(pixels[i, :N], pixels[i, N:], keep[i])["loss"]), first


@pytest.mark.parametrize(("bias", "hinge_pulls"), [(0.0, False), (-3.0, True)])
def test_the_stabiliser_follows_the_paper_s_equation_or_the_code_s(bias: float, hinge_pulls: bool) -> None:
    """A bias of -3 makes the mean of -Dis(x) about 3, above 1: there the code's S has the paper's gradient."""
    torch.manual_seed(0)
    start = Discriminator(0.05).double()
    nn.init.constant_(start.last.bias, bias)
    pixels, keep = two_batches(start)
    found = {s: of_a_discriminator(start, s) for s in ("paper", "hinge")}
    for stabiliser, (weights, loss) in found.items():
        critic = deepcopy(start)
        assert loss == pytest.approx(eq_4(critic, pixels[0], keep[0], stabiliser).item(), rel=1e-9)
        assert same(weights, after_two_steps(critic, lambda i: eq_4(critic, pixels[i], keep[i], stabiliser)))  # noqa: B023
    assert same(found["paper"][0], found["hinge"][0]) == hinge_pulls
    assert GanConfig().stabiliser == "hinge"


def gnet_with_group_norm(weights: dict[str, Tensor], pixels: Tensor, groups: Callable[[int], int]) -> Tensor:
    """The U-Net of the study with GroupNorm, from its weights alone; ``groups`` of a number of channels."""

    def block(value: Tensor, name: str) -> Tensor:
        for conv, norm in ((0, 1), (3, 4)):
            value = F.conv2d(value, weights[f"{name}.{conv}.weight"], weights[f"{name}.{conv}.bias"], padding=1)
            affine = weights[f"{name}.{norm}.weight"], weights[f"{name}.{norm}.bias"]
            value = F.leaky_relu(F.group_norm(value, groups(value.shape[1]), *affine), 0.2)
        return value

    value = block((pixels - MEAN[0]) / STD[0], "encoder.0")
    skips = []
    for level in range(1, 6):
        skips.append(value)
        value = block(F.avg_pool2d(value, 2), f"encoder.{level}")
    for level in range(5):
        upper = F.interpolate(value, scale_factor=2, mode="bilinear", align_corners=True)
        value = block(torch.cat([skips.pop(), upper], 1), f"decoder.{level}")
    return torch.sigmoid(F.conv2d(value, weights["last.weight"], weights["last.bias"], padding=1))


def test_a_gnet_of_the_paper_has_32_groups_in_every_norm_and_no_batch_norm() -> None:
    with torch.device("meta"):
        norms = [layer for layer in Gnet(1.0, "group").modules() if "Norm" in type(layer).__name__]
        others = [layer for layer in Gnet(1.0).modules() if "Norm" in type(layer).__name__]
    assert [type(norm) for norm in norms] == [nn.GroupNorm] * 22
    assert {norm.num_groups for norm in norms} == {32}
    assert [norm.num_channels for norm in norms] == [norm.num_features for norm in others]
    assert [type(norm) for norm in others] == [nn.BatchNorm2d] * 22 and GanConfig().gnet_norm == "batch"


@torch.no_grad()
def test_the_study_s_gnet_with_group_norm_computes_f_group_norm() -> None:
    torch.manual_seed(0)
    gnet, pixels = Gnet(1.0, "group").double(), torch.rand(2, 1, 64, 32, dtype=torch.float64)
    torch.testing.assert_close(gnet(pixels), gnet_with_group_norm(gnet.state_dict(), pixels, lambda channels: 32))
    assert torch.equal(gnet.eval()(pixels)[:1], gnet(pixels[:1])), "a mammogram does not depend on its batch"


def test_a_small_gnet_with_group_norm_learns_as_the_equation_says() -> None:
    """It has fewer groups, of 8 channels each."""
    torch.manual_seed(0)
    gnet, pixels = Gnet(0.05, "group").double(), torch.rand(2, N, 1, SIDE, SIDE, dtype=torch.float64)
    plain = deepcopy(gnet)

    def eq_7(i: int) -> Tensor:
        fake = gnet_with_group_norm(dict(plain.named_parameters()), pixels[i], lambda channels: channels // 8)
        y_fn, y = ((value - MEAN[0]) / STD[0] for value in (fake, pixels[i]))
        return (y_fn - y).square().sum() / y.square().sum()

    critic = Discriminator(0.05).double()
    step = GeneratorStep(gnet, critic, GanConfig(gnet_norm="group"), adversarial=False, over_ranks=lambda value: value)
    found = after_two_steps(gnet, lambda i: step(pixels[i], torch.ones(N, critic.fnet.hidden))["loss"])
    assert same(found, after_two_steps(plain, eq_7))


@pytest.fixture(scope="module")
def with_cad(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a CAD."""
    root = tmp_path_factory.mktemp("paper") / "work"
    shutil.copytree(converted.root, root)
    train_cad(replace(CAD, epochs=1, epoch_batches=2, compute=QUICK), Workspace(root))
    return Workspace(root)


def sizes_of_a_disc(config: GanConfig, workspace: Workspace) -> Tensor:
    """How much larger a disc of radius 16 becomes in 25 batches of a GAN's training, as a factor of its radius."""
    training = GanTraining(config, Direction.REMOVE, workspace, Ranks(rank=0, size=1, device=torch.device("cpu")))
    row = torch.arange(SIDE) - (SIDE - 1) / 2
    inside = row.view(-1, 1).square() + row.square() < 16**2
    disc = (inside * 65535).to(torch.uint16).expand(N, 1, SIDE, SIDE)
    shown = torch.cat([torch.cat(training.batches.pixels((disc, disc), 0, batch)) for batch in range(25)])
    return (shown.sum((1, 2, 3)) / inside.sum()).sqrt()


def test_with_gan_scale_sizes_are_drawn_between_half_and_double_and_else_stay(with_cad: Workspace) -> None:
    config = replace(GAN, rotation=0.0, shear=0.0)
    sizes = sizes_of_a_disc(replace(config, gan_scale=True), with_cad)
    assert len(sizes) == 4 * 25 and 0.49 < sizes.min() < 0.6 and 1.9 < sizes.max() < 2.01
    assert sizes.mean().item() == pytest.approx(1.25, abs=0.15), "uniform"
    assert torch.equal(sizes_of_a_disc(config, with_cad), torch.ones(100)) and not GanConfig().gan_scale


def events(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.metrics.read_text().splitlines()]


def phase_of(workspace: Workspace, **changed: Any) -> tuple[str, list[dict[str, float]]]:
    """Train one phase anew: what ended it, and the means of its epochs."""
    run = run_of("remove", workspace)
    shutil.rmtree(run.path, ignore_errors=True)
    train_gan(replace(GAN, compute=QUICK, **changed), Direction.REMOVE, workspace)
    told = events(run)
    (ended,) = (event for event in told if event["event"] == "phase")
    return ended["ended_by"], [event for event in told if event["event"] == "epoch"]


@pytest.mark.parametrize(
    ("caps", "changed", "rule"),
    [
        ((3, 0, 0, 0, 0), {"lr_warm": 1e-2, "stop_identity": 0.9}, "identity below 0.9"),
        ((2, 0, 0, 0, 0), {"lr_warm": 0.0, "stop_identity": 1e-9}, "identity below 1e-09"),
        ((0, 60, 0, 0, 0), {"lr_warm": 0.05}, "gap above 0.2"),
        ((0, 2, 0, 0, 0), {"lr_warm": 0.0}, "gap above 0.2"),
        ((0, 0, 0, 3, 0), {"lr_dnet": 0.0, "lr_gnet": 0.0}, "gap below 0.01"),
        ((0, 0, 0, 0, 3), {"lr_dnet": 0.0, "lr_gnet": 0.0, "lr_vnet": 0.0}, "gap below 0.01"),
        ((0, 0, 0, 2, 0), {"lr_dnet": 1e-3, "lr_gnet": 0.0}, "gap below 0.01"),
    ],
)
def test_a_stop_rule_ends_a_phase_when_it_holds_and_not_otherwise(
    caps: tuple[int, ...], changed: dict[str, float], rule: str, with_cad: Workspace
) -> None:
    """Each rule in two trainings: in one that meets it, and in one that does not before its cap, the smaller one."""
    ended_by, epochs = phase_of(with_cad, epochs=caps, stop_rules=True, **changed)
    figure, side, limit = rule.split()
    values = [epoch[figure] for epoch in epochs]
    met = [value < float(limit) if side == "below" else value > float(limit) for value in values]
    holds = max(caps) > 2
    assert met == [False] * (len(met) - 1) + [holds], values
    assert ended_by == (rule if holds else "its cap of 2 epochs")
    assert len(epochs) < max(caps) if holds else len(epochs) == 2


def test_without_stop_rules_a_phase_goes_on_to_its_cap(with_cad: Workspace) -> None:
    ended_by, epochs = phase_of(with_cad, epochs=(2, 0, 0, 0, 0), stop_identity=1e9)
    assert ended_by == "its cap of 2 epochs" and len(epochs) == 2
    assert GanConfig().stop_rules and GanConfig().stop_identity == 0.002
