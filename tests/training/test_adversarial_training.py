"""Adversarial training: the batch is attacked within its budget, the same on any number of ranks, and it helps."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest import SMALL
from torch.nn import functional as F
from trainings import CAD

from mammogan.errors import UserError
from mammogan.models.networks import Cad, tissue
from mammogan.training import cad as training
from mammogan.training.adversarial import GREY, attacked, random_start
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Workspace

BUDGET = 2048.0


@pytest.fixture(scope="module")
def cad() -> Cad:
    torch.manual_seed(0)
    return Cad(0.05).train()


def halves() -> tuple[torch.Tensor, torch.Tensor]:
    """Two images of each label, the right half air."""
    pixels = torch.rand(4, 1, 96, 96, generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1
    pixels[..., 48:] = 0
    return pixels[:2], pixels[2:]


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_the_attacked_batch_is_harder_within_the_budget_and_its_air_is_untouched(cad: Cad, method: str) -> None:
    positives, negatives = halves()
    keep = torch.ones(4, cad.fnet.hidden, dtype=torch.bool)
    start = torch.rand(4, 1, 96, 96, generator=torch.Generator().manual_seed(2)) * 2 - 1
    new = torch.cat(attacked(cad, positives, negatives, keep, start, method, BUDGET))
    old, labels = torch.cat([positives, negatives]), torch.tensor([1, 1, 0, 0])
    change = (new - old).abs() * GREY
    assert 0 < change.max() <= BUDGET + 0.01 and not change[~tissue(old)].any() and not new.requires_grad
    with torch.no_grad():
        assert F.cross_entropy(cad(new, keep), labels) > F.cross_entropy(cad(old, keep), labels)
    assert all(parameter.grad is None for parameter in cad.parameters()), "the attack leaves no gradients behind"


def test_the_random_start_of_two_ranks_is_that_of_one() -> None:
    def of(rank: int, ranks: int) -> torch.Tensor:
        stream = SimpleNamespace(pairs=4, share=4 // ranks, rank=rank)
        batches = SimpleNamespace(stream=stream, seed=3, precision=SimpleNamespace(device=torch.device("cpu")))
        return random_start(batches, (8, 6), 1, 2).view(2, 4 // ranks, 1, 8, 6)

    whole = of(0, 1)
    assert torch.equal(torch.cat([of(0, 2), of(1, 2)], 1), whole)
    assert whole.abs().max() <= 1 and whole.min() < -0.9


def test_a_training_runs_with_it_resumes_and_is_refused_with_another_method(workspace: Workspace) -> None:
    config = replace(CAD, adversarial_training="fgsm", adversarial_budget=256.0, epochs=1)
    training.train_cad(config, workspace)
    run = Run(workspace.cad_run(SMALL))
    assert run.settings["adversarial_training"] == "fgsm" and run.best.is_file()
    (epoch,) = [json.loads(line) for line in run.metrics.read_text().splitlines() if '"focal"' in line]
    assert epoch["penalty"] > 0, "the gradient penalty is kept"
    with pytest.raises(UserError, match="adversarial_training was fgsm, now none"):
        training.train_cad(replace(CAD, epochs=2), workspace)


def test_a_budget_below_a_grey_level_is_refused() -> None:
    with pytest.raises(UserError, match=r"adversarial.budget"):
        replace(CAD, adversarial_budget=0.5)
