"""Untrained networks saved as trainings save theirs: what generation and evaluation need to have something to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mammogan.models.networks import IMAGENET_MEAN, IMAGENET_STD, LEAK, Cad, Gnet
from mammogan.training.run.checkpoint import save
from mammogan.training.run.model_card import CARD, CLASSIFIES, model_card
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Resolution, Workspace

WIDTH = 0.05
LIFT, NOISE = 20.0, 0.01


def save_gnet(workspace: Workspace, resolution: Resolution, direction: Direction, seed: int = 0) -> Path:
    """A small random generator as the best one of its run."""
    torch.manual_seed(seed)
    path = Run(workspace.gan_run(resolution, direction)).best
    state = {"width": WIDTH, "gnet_norm": "batch", "gnet": Gnet(WIDTH).state_dict(), "phase": "head", "epoch": seed}
    save(path, state | {"kind": "gan", "direction": str(direction), **card(workspace, resolution)})
    return path


def save_lighting_gnet(workspace: Workspace, resolution: Resolution, direction: Direction, light: float = 0.01) -> Path:
    """A generator that gives the picture back with 1% of full scale as light in the air, the tones moved to make room
    for it, and small noise from the pixels' surroundings; saved as the best one of its run."""
    gnet = Gnet(WIDTH)
    for name, value in gnet.state_dict().items():
        if name.endswith("weight") and value.ndim == 4:
            value.zero_()
    first, second = gnet.encoder[0][0], gnet.encoder[0][3]
    with torch.no_grad():
        # The logit of the tones is nearly a sum of kinks, one a channel; the last channel is the noise.
        grey, kinks = torch.linspace(0, 1, 2001, dtype=torch.float64), len(first.bias) - 1
        knots = (torch.linspace(-4.6, 4.6, kinks, dtype=torch.float64).sigmoid() - IMAGENET_MEAN[0]) / IMAGENET_STD[0]
        normalised = (grey - IMAGENET_MEAN[0]) / IMAGENET_STD[0]
        bent = torch.nn.functional.leaky_relu(normalised[:, None] - knots, LEAK)
        target = light + (1 - 2 * light) * grey
        slope = (target * (1 - target))[:, None]
        terms = torch.cat([bent, torch.ones(len(grey), 1, dtype=torch.float64)], 1)
        weights = torch.linalg.lstsq(terms * slope, torch.logit(target)[:, None] * slope).solution[:, 0]
        first.weight[:kinks, 0, 1, 1] = 1
        first.bias[:kinks] = -knots
        kernel = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
        first.weight[kinks, 0], first.bias[kinks] = kernel - kernel.mean(), LIFT
        second.weight[0, :kinks, 1, 1], second.weight[0, kinks, 1, 1] = weights[:-1], NOISE
        second.bias[0] = weights[-1] + LIFT - NOISE * LIFT
        for layer in (gnet.decoder[-1][0], gnet.decoder[-1][3], gnet.last):  # on through the skip, kept from bending
            layer.weight[0, 0, 1, 1] = 1
            layer.bias.zero_()
        gnet.last.bias[0] = -LIFT
    path = Run(workspace.gan_run(resolution, direction)).best
    state = {"width": WIDTH, "gnet_norm": "batch", "gnet": gnet.state_dict(), "phase": "head", "epoch": 0}
    save(path, state | {"kind": "gan", "direction": str(direction), **card(workspace, resolution)})
    return path


def card(workspace: Workspace, resolution: Resolution) -> dict[str, Any]:
    """What a trained network says of itself, if there are shards that it may have been trained on."""
    there = (workspace.shards(resolution) / "index.json").is_file()
    return {CARD: model_card(CLASSIFIES, workspace, resolution)} if there else {}


def save_cad(workspace: Workspace, resolution: Resolution, seed: int = 0) -> Path:
    """A small random classifier as the best one of its run."""
    torch.manual_seed(seed)
    path = Run(workspace.cad_run(resolution)).best
    save(path, {"width": WIDTH, "cad": Cad(WIDTH).state_dict(), **card(workspace, resolution)})
    return path


def save_all(workspace: Workspace, resolution: Resolution) -> None:
    save_cad(workspace, resolution)
    for direction in Direction:
        save_gnet(workspace, resolution, direction)
