"""The host of a training runs ahead of its device: nothing within an epoch makes it wait.

Networks on the meta device have shapes and no values. Whatever would read one there fails, as it would wait on a GPU.
"""

from __future__ import annotations

import importlib
import shutil
from typing import Any

import pytest
import torch
import trainings
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from trainings import CAD, GAN

from mammogan.config import ComputeConfig
from mammogan.training import cad, gan
from mammogan.training.cad import CadTraining
from mammogan.training.gan_state import GanTraining
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.optimizer import Precision, Stepper
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

DEVICE = Ranks(0, 1, torch.device("meta"))


class WaitingCopies(TorchDispatchMode):
    """Notes copies from the host that the host waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        out = func(*args, **given)
        name = func.overloadpacket.__name__
        if name in ("_to_copy", "copy_") and not (given.get("non_blocking") or (name == "copy_" and True in args[2:])):
            places = {leaf.device.type for leaf in tree_leaves((args, out)) if isinstance(leaf, torch.Tensor)}
            self.found += [str(func)] if len(places) > 1 else []
        return out


class Values(TorchDispatchMode):
    """Notes what reads a tensor's value on the host."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.read += func.overloadpacket.__name__ in ("_local_scalar_dense", "item", "nonzero", "is_nonzero")
        return func(*args, **(kwargs or {}))


class Enough(Exception): ...


class StopsAfter:
    """A checkpointer that ends the training after some batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def pause(self) -> None:
        self.left -= 1
        if not self.left:
            raise Enough


@pytest.fixture(autouse=True)
def adam_knows_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam's fused kernel works on meta tensors, but torch does not offer it for them."""
    module = importlib.import_module("torch.optim.optimizer")
    monkeypatch.setattr(module, "_get_fused_kernels_supported_devices", lambda: ["cpu", "meta"])


@pytest.fixture(scope="module")
def trained(converted: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a CAD."""
    root = tmp_path_factory.mktemp("trained") / "work"
    shutil.copytree(converted.root, root)
    trainings.train("cad", str(root), exact=False)
    return Workspace(root)


def silent(workspace: Workspace) -> Reporter:
    return Reporter(Run(workspace.root / "nowhere"), "nowhere", writes=False, tensorboard=False)


def test_three_batches_of_the_cad_wait_for_nothing(converted: Workspace) -> None:
    training = CadTraining(CAD, converted, DEVICE)
    with pytest.raises(Enough), WaitingCopies() as waiting:
        cad._train_epoch(training, StopsAfter(3), silent(converted))  # type: ignore[arg-type]
    assert training.batch == 3 and waiting.found == []


@pytest.mark.parametrize("number", range(5))
def test_three_batches_of_a_gan_wait_for_nothing_in_any_phase(number: int, trained: Workspace) -> None:
    training = GanTraining(GAN, Direction.REMOVE, trained, DEVICE)
    phase = training.phases[number]
    steps = training.steps_of(phase)
    with pytest.raises(Enough), WaitingCopies() as waiting:
        gan._train_epoch(training, phase, *steps, StopsAfter(3), silent(trained))  # type: ignore[arg-type]
    assert training.batch == 3 and waiting.found == []


def fused(layer: nn.Module, limit: int = 3) -> Stepper:
    """A stepper whose Adam skips by itself, as on a GPU, here with its kernel for CPU."""
    compute = ComputeConfig(max_nonfinite=limit)
    alone = Ranks(0, 1, torch.device("cpu"))
    stepper = Stepper([{"params": list(layer.parameters())}], compute, Precision.choose("fp32", alone.device), alone)
    stepper.optimizer = torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)
    return stepper


def test_a_skipped_step_changes_nothing_though_no_value_is_read() -> None:
    torch.manual_seed(0)
    disturbed, plain = nn.Linear(2, 1), nn.Linear(2, 1)
    plain.load_state_dict(disturbed.state_dict())
    first, second = fused(disturbed), fused(plain)
    values = torch.tensor([[1.0, 2.0]])
    with Values() as values_read:
        first.step(disturbed(values).sum())
        first.step(disturbed(values * float("nan")).sum())
    assert values_read.read == 0
    first.step(disturbed(values).sum())
    for _ in range(2):
        second.step(plain(values).sum())
    assert (first.skipped, first.in_a_row) == (1, 0)
    assert torch.equal(disturbed.weight, plain.weight) and torch.equal(disturbed.bias, plain.bias)
    for moments, expected in zip(first.optimizer.state.values(), second.optimizer.state.values(), strict=True):
        assert all(torch.equal(moments[name], value) for name, value in expected.items()), "the steps count too"


def test_too_many_skipped_in_a_row_are_noticed_later_though_a_good_step_came_between() -> None:
    layer = nn.Linear(1, 1)
    stepper = fused(layer, limit=3)
    good, broken = torch.ones(1, 1), torch.full((1, 1), float("inf"))
    for value in (good, good, broken, broken, broken):
        stepper.step(layer(value).sum())
    with pytest.raises(FloatingPointError, match="3 steps in a row"):
        stepper.step(layer(good).sum())
