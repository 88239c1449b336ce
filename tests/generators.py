"""Untrained networks saved as trainings save theirs: what generation and evaluation need to have something to run."""

from __future__ import annotations

from pathlib import Path

import torch

from mammogan.config import Direction, Resolution, Workspace
from mammogan.models.networks import Cad, Gnet
from mammogan.training.checkpoint import Run, save

WIDTH = 0.05


def save_gnet(workspace: Workspace, resolution: Resolution, direction: Direction, seed: int = 0) -> Path:
    """A small random generator as the best one of its run."""
    torch.manual_seed(seed)
    path = Run(workspace.gan_run(resolution, direction)).best
    state = {"width": WIDTH, "gnet_norm": "batch", "gnet": Gnet(WIDTH).state_dict(), "phase": "head", "epoch": seed}
    save(path, state | {"kind": "gan", "direction": str(direction)})
    return path


def save_cad(workspace: Workspace, resolution: Resolution, seed: int = 0) -> Path:
    """A small random classifier as the best one of its run."""
    torch.manual_seed(seed)
    path = Run(workspace.cad_run(resolution)).best
    save(path, {"width": WIDTH, "cad": Cad(WIDTH).state_dict()})
    return path


def save_all(workspace: Workspace, resolution: Resolution) -> None:
    save_cad(workspace, resolution)
    for direction in Direction:
        save_gnet(workspace, resolution, direction)
