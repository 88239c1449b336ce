"""Settings that cannot be meant are refused where they are made."""

from __future__ import annotations

import math
import shutil
from typing import Any

import pytest
from conftest import SMALL
from edited import edit_record
from generators import save_gnet

from mammogan.attack.config import GenerateConfig
from mammogan.attack.plan import resolutions
from mammogan.config import CadConfig, ComputeConfig, GanConfig, LesionConfig, PenaltyConfig
from mammogan.errors import UserError
from mammogan.training.run.preflight import check_classes, check_shards
from mammogan.workspace import Direction, Resolution, Workspace


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        (CadConfig, {"width": 0.001}, "--width 0.001: expected 0.05 to 8"),
        (GanConfig, {"width": -1.0}, "--width -1"),
        (CadConfig, {"lr_fnet": -1.0}, "lr_fnet -1.0: expected 0 or more"),
        (CadConfig, {"scale": (2.0, 0.5)}, "--scale 2 0.5: expected the smaller factor first"),
        (CadConfig, {"epochs": 0}, "epochs 0: expected 1 or more"),
        (GanConfig, {"epochs": (0, 0, 0, 0, 0)}, "five caps"),
        (GanConfig, {"shear": 90.0}, "--shear 90"),
        (CadConfig, {"lr_vnet": math.nan}, "lr_vnet nan: expected 0 or more"),
        (LesionConfig, {"cells": 0, "pairs": 0}, "lesion.cells 0, lesion.pairs 0: expected 1 or more"),
        (ComputeConfig, {"max_nonfinite": 0}, "compute.max_nonfinite 0: expected 1 or more"),
        (ComputeConfig, {"loader_workers": -1}, "compute.loader_workers -1: expected 0 or more"),
        (ComputeConfig, {"save_minutes": -1.0}, "compute.save_minutes -1.0: expected 0 or more"),
        (ComputeConfig, {"save_minutes": math.nan}, "compute.save_minutes nan: expected 0 or more"),
        (PenaltyConfig, {"k": -10.0}, "penalty.k -10.0: expected 0 or more"),
        (PenaltyConfig, {"o": 1.0}, "penalty.o 1.0: expected 2 or more"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_its_range(kind: type[Any], wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as told:
        kind(**wrong)
    assert said in str(told.value)


def test_the_published_settings_are_in_range() -> None:
    assert CadConfig().epochs >= CadConfig().fnet_epochs and GanConfig().epochs[0]


def test_a_training_without_one_class_is_refused() -> None:
    counts = {"train": {"positive": 0, "negative": 5}}
    with pytest.raises(UserError, match="no positive mammogram to train on"):
        check_classes(Resolution(96, 96), counts)


def test_generation_leaves_out_sizes_without_generators_and_says_so(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Resolution(128, 96)
    shutil.copytree(workspace.shards(SMALL), workspace.shards(other))
    assert resolutions(workspace, GenerateConfig()) == [other, SMALL], "with none at all, the error names the command"
    save_gnet(workspace, SMALL, Direction.REMOVE)
    assert resolutions(workspace, GenerateConfig()) == [SMALL]
    assert "128x96: left out, since no generators are there" in capsys.readouterr().out


def test_shards_of_stored_numbers_are_not_trained_on(workspace: Workspace) -> None:
    index = workspace.shards(SMALL) / "index.json"
    edit_record(index, lambda found: found["settings"].update(voi="none"))
    with pytest.raises(UserError, match=r"hold stored numbers \(--voi none\).* --voi header"):
        check_shards(SMALL, workspace)


def test_a_missing_shard_is_reported_before_a_training_starts(workspace: Workspace) -> None:
    (workspace.shards(SMALL) / "train-positive-000000.tar").unlink()
    with pytest.raises(UserError, match=r"train-positive-000000.tar.*(?s:.*)check-shards"):
        check_shards(SMALL, workspace)
