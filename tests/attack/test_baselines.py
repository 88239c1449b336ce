"""The simple attacks do what their papers say, judged by adversarial-robustness-toolbox."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mammogan.attack import baselines
from mammogan.attack.baselines import GREY, Noise, Square
from mammogan.attack.config import BASELINES
from mammogan.attack.square import square_attack
from mammogan.models.gradient_attacks import apgd, ascent, fgsm, pgd
from mammogan.models.networks import Cad
from mammogan.workspace import Direction

SIZE, N, EPS = 32, 12, 2048 / GREY
art = pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")


class Small(nn.Module):
    """A classifier with a margin that is not saturated."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()
        )
        self.last = nn.Linear(8, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.last(self.body(pixels - 0.3).mean((2, 3))) * 20


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.rand(N, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def network(pixels: Tensor) -> Small:
    """Has half of the pixels on either side of its boundary."""
    made = Small().eval()
    with torch.no_grad():
        logits = made(pixels)
        made.last.bias[0] += (logits[:, 1] - logits[:, 0]).median() / 20 + 1e-4
    return made


@pytest.fixture(scope="module")
def labels(network: Small, pixels: Tensor) -> Tensor:
    return network(pixels).argmax(1)


@pytest.fixture(scope="module")
def judge(network: Small) -> Any:
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        network, loss=nn.CrossEntropyLoss(), input_shape=(1, SIZE, SIZE), nb_classes=2, clip_values=(0.0, 1.0),
        device_type="cpu",
    )  # fmt: skip


def fooled(network: Small, pixels: Tensor, labels: Tensor) -> int:
    return int((network(pixels).argmax(1) != labels).sum())


def test_fgsm_and_pgd_linf_are_those_of_art_bit_for_bit(
    network: Small, pixels: Tensor, labels: Tensor, judge: Any
) -> None:
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescentPyTorch

    one = FastGradientMethod(judge, norm=np.inf, eps=EPS, batch_size=N).generate(pixels.numpy(), labels.numpy())
    assert np.array_equal(fgsm(network, pixels, labels, EPS).numpy(), one)
    ten = ProjectedGradientDescentPyTorch(
        judge, norm=np.inf, eps=EPS, eps_step=EPS / 4, max_iter=10, batch_size=N, verbose=False
    ).generate(pixels.numpy(), labels.numpy())
    assert np.array_equal(pgd(network, pixels, labels, EPS).numpy(), ten)


def test_pgd_l2_keeps_its_norm_and_fools_as_often_as_art(
    network: Small, pixels: Tensor, labels: Tensor, judge: Any
) -> None:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    budget = 0.5
    made = pgd(network, pixels, labels, budget, "l2")
    theirs = ProjectedGradientDescentPyTorch(
        judge, norm=2, eps=budget, eps_step=budget / 4, max_iter=10, batch_size=N, verbose=False
    ).generate(pixels.numpy(), labels.numpy())
    norms = (made - pixels).flatten(1).norm(dim=1)
    assert norms.max() <= budget * (1 + 1e-5) and norms.min() > 0.9 * budget
    assert fooled(network, made, labels) == fooled(network, torch.from_numpy(theirs), labels) > 0


@pytest.mark.parametrize(("norm", "budget"), [("linf", EPS), ("l2", 0.3)])
def test_apgd_reaches_the_loss_that_art_reaches_and_at_least_that_of_pgd(
    norm: Any, budget: float, network: Small, pixels: Tensor, labels: Tensor, judge: Any
) -> None:
    from art.attacks.evasion import AutoProjectedGradientDescent

    made = apgd(network, pixels, labels, budget, norm, steps=20)
    theirs = AutoProjectedGradientDescent(
        judge, norm=np.inf if norm == "linf" else 2, eps=budget, eps_step=2 * budget, max_iter=20, nb_random_init=1,
        batch_size=N, loss_type="cross_entropy", verbose=False,
    ).generate(pixels.numpy(), labels.numpy())  # fmt: skip
    ours, art_loss, of_pgd, start = (
        float(ascent(network, x, labels, None)[1].mean())
        for x in (made, torch.from_numpy(theirs), pgd(network, pixels, labels, budget, norm), pixels)
    )
    assert ours > start and ours >= 0.97 * art_loss and ours >= 0.97 * of_pgd


def test_square_needs_no_gradient_and_does_better_than_noise(network: Small, pixels: Tensor, labels: Tensor) -> None:
    def scores(x: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        return network(x).softmax(1)[:, 1]

    positives = pixels[labels == labels[0]]
    label = float(labels[0])
    seeds = list(range(len(positives)))
    made = square_attack(scores, positives, label, EPS, 150, seeds)
    noise = (positives + EPS * (torch.randint(0, 2, positives.shape) * 2 - 1)).clamp(0, 1)
    with torch.no_grad():
        moved, by_noise, before = ((scores(x) - label).abs() for x in (made, noise, positives))
    assert (moved >= before - 1e-6).all() and (moved - before).mean() > 3 * (by_noise - before).abs().mean()
    assert (made - positives).abs().max() <= EPS * (1 + 1e-5)
    alone = square_attack(scores, positives[1:2], label, EPS, 150, seeds[1:2])
    assert torch.equal(alone, made[1:2]), "the batch decides nothing"


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_baseline_keeps_to_its_budget_and_to_the_breast(name: str) -> None:
    torch.manual_seed(0)
    cad = Cad(0.125).eval()
    image = np.zeros((2, 96, 96), dtype=np.uint16)
    image[:, 16:80, :60] = 20_000 + np.random.default_rng(0).integers(0, 4000, (2, 64, 60))
    whole = torch.from_numpy(image)[:, None]
    own = getattr(baselines, BASELINES[name])
    kind = type("Quick", (own,), {"settings": {**own.settings, "steps": 3, "queries": 8}})
    made = kind(cad, Direction.REMOVE).alter(whole, [{"key": "a"}, {"key": "b"}])
    change = made[:, 0].numpy().astype(int) - image
    assert made.dtype == torch.uint16 and made.shape == whole.shape
    assert not change[image == 0].any(), "the air is kept"
    assert change.any(axis=(1, 2)).all()
    if name.endswith("l2"):
        assert np.sqrt((change.astype(float) ** 2).mean(axis=(1, 2))).max() <= 257
    else:
        assert np.abs(change).max() <= 257


def test_noise_and_squares_of_an_image_do_not_depend_on_its_batch() -> None:
    torch.manual_seed(0)
    cad = Cad(0.125).eval()
    image = torch.from_numpy(np.random.default_rng(0).integers(1000, 9000, (2, 1, 96, 96)).astype(np.uint16))
    for kind in (Noise, type("Quick", (Square,), {"settings": {**Square.settings, "queries": 5}})):
        attack = kind(cad, Direction.INSERT)
        both = attack.alter(image, [{"key": "a"}, {"key": "b"}])
        assert torch.equal(attack.alter(image[1:], [{"key": "b"}]), both[1:])
        assert not torch.equal(attack.alter(image[1:], [{"key": "c"}]), both[1:])
