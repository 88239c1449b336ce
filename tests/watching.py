"""What the tests of mammogan watch share: a workspace whose generator has begun, and looks at it."""

from __future__ import annotations

from pathlib import Path

from conftest import SMALL

from mammogan.watch.stage_status import StageStatus
from mammogan.watch.view import View
from mammogan.watch.watch import Watcher
from mammogan.workspace import Direction, Workspace


def begun_workspace(root: Path) -> Workspace:
    """Make a workspace with shards, and with the folder of a generator's run, in which there is nothing yet."""
    workspace = Workspace(root)
    for folder in (workspace.shards(SMALL), workspace.gan_run(SMALL, Direction.REMOVE)):
        folder.mkdir(parents=True)
    (workspace.shards(SMALL) / "index.json").write_text("{}")
    return workspace


def look(workspace: Workspace) -> View:
    return Watcher(workspace).look()


def stage(workspace: Workspace, name: str) -> StageStatus:
    [found] = [status for status in look(workspace).statuses if status.stage.name == name]
    return found
