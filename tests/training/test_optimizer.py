"""One optimiser step: which optimiser, which precision, and what happens to gradients that are not finite."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from mammogan.config import ComputeConfig
from mammogan.errors import UserError
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.optimizer import Precision, Stepper, apex_kernels_load, choose_optimizer, generator_for

CPU = torch.device("cpu")
ALONE = Ranks(0, 1, CPU)


def stepper_of(layer: nn.Module, precision: str = "fp32", max_nonfinite: int = 3) -> Stepper:
    compute = ComputeConfig(max_nonfinite=max_nonfinite)
    return Stepper([{"params": list(layer.parameters()), "lr": 0.1}], compute, Precision.choose(precision, CPU), ALONE)


def test_a_step_that_is_not_finite_is_skipped_and_counted() -> None:
    layer = nn.Linear(2, 1)
    stepper = stepper_of(layer)
    before = layer.weight.detach().clone()
    assert not stepper.step(layer(torch.tensor([[1.0, float("nan")]])).sum())
    assert stepper.skipped == 1 and torch.equal(layer.weight, before)
    assert stepper.step(layer(torch.ones(1, 2)).sum())
    assert stepper.in_a_row == 0 and not torch.equal(layer.weight, before)


def test_too_many_in_a_row_stop_the_training() -> None:
    layer = nn.Linear(1, 1)
    stepper = stepper_of(layer, max_nonfinite=2)
    broken = torch.tensor([[float("inf")]])
    stepper.step(layer(broken).sum())
    with pytest.raises(FloatingPointError, match="2 steps in a row"):
        stepper.step(layer(broken).sum())


def test_fp16_scales_the_loss_and_backs_off_when_it_overflows() -> None:
    layer = nn.Linear(1, 1)
    stepper = stepper_of(layer, "fp16")
    scale = stepper.scaler.get_scale()
    assert scale > 1
    stepper.step(layer(torch.full((1, 1), 3e38)).sum())
    assert stepper.skipped == 1 and stepper.scaler.get_scale() == scale / 2


def test_betas_are_the_studys_and_each_group_has_its_rate() -> None:
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    groups = [{"params": list(layer.parameters())} for layer in layers]
    stepper = Stepper(groups, ComputeConfig(), Precision.choose("fp32", CPU), ALONE)
    stepper.learning_rates(1e-4, 1e-5)
    assert [g["lr"] for g in stepper.optimizer.param_groups] == [1e-4, 1e-5]
    assert all(g["betas"] == (0.5, 0.9) for g in stepper.optimizer.param_groups)


def test_apex_requested_and_unusable_is_an_error() -> None:
    with pytest.raises(UserError, match=r"amp_C.*unrelated"):
        choose_optimizer([{"params": list(nn.Linear(1, 1).parameters())}], "apex", CPU)


def test_auto_takes_torch_on_cpu_even_where_apex_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amp_C", ModuleType("amp_C"))
    assert apex_kernels_load()
    optimizer, kind = choose_optimizer([{"params": list(nn.Linear(1, 1).parameters())}], "auto", CPU)
    assert kind == "torch" and isinstance(optimizer, torch.optim.Adam)


def test_moments_take_the_strides_of_the_weights_they_meet() -> None:
    """A checkpoint of a GPU holds channels-last moments; Adam's CPU kernel pairs them up by memory order unchecked."""
    torch.manual_seed(0)
    conv, same = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    same.load_state_dict(conv.state_dict())
    here, there = stepper_of(conv), stepper_of(same)
    value = torch.rand(1, 3, 5, 5)
    here.step(conv(value).square().sum())
    state = here.state_dict()
    for moments in state["optimizer"]["state"].values():
        for name, moment in moments.items():
            if moment.ndim == 4:
                moments[name] = moment.clone(memory_format=torch.channels_last)
    same.load_state_dict(conv.state_dict())
    there.load_state_dict(state)
    assert there.optimizer.state[same.weight]["exp_avg"].is_contiguous()
    assert there.optimizer.param_groups[0]["fused"] is False


def test_a_checkpoint_without_a_loss_scale_resumes_in_fp16() -> None:
    layer = nn.Linear(1, 1)
    state = stepper_of(layer, "fp32").state_dict()
    stepper_of(layer, "fp16").load_state_dict(state)


def test_a_checkpoint_of_the_other_optimiser_is_refused() -> None:
    layer = nn.Linear(1, 1)
    stepper = stepper_of(layer)
    state = stepper.state_dict() | {"kind": "apex"}
    with pytest.raises(UserError, match=r"--compute.optimizer apex"):
        stepper.load_state_dict(state)


def test_draws_depend_on_every_part_of_their_place() -> None:
    def draw(*place: int | str) -> float:
        return torch.rand(1, generator=generator_for(*place)).item()

    places = [
        (0, 0, 0, "augment"),
        (1, 0, 0, "augment"),
        (0, 1, 0, "augment"),
        (0, 0, 1, "augment"),
        (0, 0, 0, "dropout"),
    ]
    assert len({draw(*p) for p in places}) == len(places)
    assert draw(*places[0]) == draw(*places[0])
