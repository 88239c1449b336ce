"""Falling rates, averaged weights, the epoch of the lowest loss: what makes short trainings of a CAD come out alike."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_states import assert_same, killed_after
from trainings import AVERAGED, CAD, command

from mammogan.errors import UserError
from mammogan.training import cad
from mammogan.training.cad import rate_factor
from mammogan.training.run.checkpoint import load
from mammogan.training.run.run_folder import Run
from mammogan.training.run.trained_networks import load_cad
from mammogan.training.validation import cross_entropy
from mammogan.workspace import Resolution, Workspace

SMALL = Resolution(96, 96)


@pytest.fixture(scope="module")
def averaged(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished training with all three."""
    root = tmp_path_factory.mktemp("averaged") / "work"
    shutil.copytree(converted.root, root)
    subprocess.run(command("cad-averaged", Workspace(root)), check=True, timeout=200)
    return Run(Workspace(root).cad_run(SMALL))


def test_rates_rise_over_the_warm_up_and_fall_to_nothing() -> None:
    factors = [rate_factor(AVERAGED, batch, 10) for batch in range(11)]
    assert factors[0] == pytest.approx(0.5)
    assert max(factors) == factors[1]
    assert all(later < earlier for earlier, later in itertools.pairwise(factors[1:]))
    assert factors[10] == pytest.approx(0)
    assert {rate_factor(CAD, batch, 10) for batch in range(10)} == {1.0}, "the study's rates stay"


def test_cross_entropy_weighs_both_classes_alike() -> None:
    assert cross_entropy([0.5] * 2, [0.5] * 50) == pytest.approx(0.6931472)
    assert cross_entropy([0.9], [0.1, 0.1, 0.1]) == pytest.approx(0.1053605)
    assert cross_entropy([], [0.1]) is None


def test_what_is_kept_and_loaded_is_the_average_and_not_what_learns(averaged: Run) -> None:
    state = load(averaged.newest)
    assert not torch.equal(state["cad"]["last.weight"], state["learning"]["last.weight"])
    assert torch.equal(load_cad(averaged.path, which="newest").last.weight, state["cad"]["last.weight"])


def test_the_epoch_with_the_lowest_validation_loss_is_kept(averaged: Run) -> None:
    events = [json.loads(line) for line in averaged.metrics.read_text().splitlines()]
    losses = [e["validation_loss"] for e in events if e["event"] == "epoch"]
    best = load(averaged.best)
    assert best["validation_loss"] == min(losses) and best["epoch"] == losses.index(min(losses)) + 1
    assert json.loads(averaged.done.read_text())["best_validation_loss"] == min(losses)


def test_killed_with_9_and_resumed_the_average_ends_bit_identical(averaged: Run, workspace: Workspace) -> None:
    killed_after("cad-averaged", workspace, 3)
    subprocess.run(command("cad-averaged", workspace), check=True, timeout=200)
    assert_same(load(Run(workspace.cad_run(SMALL)).newest), load(averaged.newest))


def test_rates_that_fall_to_zero_at_an_epoch_cannot_continue_beyond_it(averaged: Run) -> None:
    workspace = Workspace(averaged.path.parent.parent)
    with pytest.raises(UserError, match=r"started with --epochs 2.*cannot continue to epoch 3"):
        cad.train_cad(replace(AVERAGED, epochs=3), workspace)


def test_an_average_of_1_is_refused() -> None:
    with pytest.raises(UserError, match="--average 1"):
        replace(CAD, average=1.0)


def test_a_run_of_an_earlier_version_without_these_settings_resumes(workspace: Workspace, tmp_path: Path) -> None:
    import yaml

    cad.train_cad(CAD, workspace)
    record = workspace.cad_run(SMALL) / "config.yaml"
    told = yaml.safe_load(record.read_text())
    for name in ("lr_decay", "warm_up", "average", "keep"):
        del told["config"][name]
    record.write_text(yaml.safe_dump(told))
    cad.train_cad(replace(CAD, epochs=3), workspace)
    assert load(Run(workspace.cad_run(SMALL)).newest)["epoch"] == 3
    with pytest.raises(UserError, match=r"average was 0\.0, now 0\.5"):
        cad.train_cad(replace(CAD, epochs=3, average=0.5), workspace)
