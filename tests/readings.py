"""Workspaces from which a reader study can be drawn: phantoms with adversarial images in all splits."""

from __future__ import annotations

import shutil
from pathlib import Path

from conftest import SMALL
from generators import save_lighting_gnet

from mammogan.attack.config import Background, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.workspace import Direction, Workspace


def readable_phantoms(converted: Workspace, root: Path, background: Background) -> Workspace:
    """A copy of a workspace with shards, in ``root``, with adversarial images. As generated, these have light in the
    air."""
    shutil.copytree(converted.root, root)
    workspace = Workspace(root)
    for direction in Direction:
        save_lighting_gnet(workspace, SMALL, direction)
    splits = ("train", "validation", "test")
    generate(workspace, GenerateConfig(device="cpu", split=splits, allow_train=True, background=background))
    return workspace
