"""Ranks that do not share the folder of their run say so before they train."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from trainings import CAD, command, start_ranks

from mammogan.workspace import Resolution, Workspace


def test_ranks_with_folders_of_their_own_are_refused_at_the_start_on_every_rank(
    converted: Workspace, tmp_path: Path
) -> None:
    apart = [Workspace(tmp_path / name) for name in ("here", "there")]
    for workspace in apart:
        shutil.copytree(converted.root, workspace.root)
    commands = [command("cad", workspace, exact=True) for workspace in apart]
    ranks = start_ranks(commands, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    host = socket.gethostname()
    for rank, workspace in zip(ranks, apart, strict=True):
        told = rank.communicate(timeout=100)[1]
        assert rank.returncode != 0
        folder = workspace.cad_run(Resolution.parse(CAD.resolution)) / "checkpoints"
        assert f"UserError: {folder} is not the same folder for all ranks" in told
        assert (
            f"the first rank, on {host}, saves there" in told
            and f"does not appear within 1 s to rank 1 on {host}" in told
        )
        assert not list(folder.glob("*")) and not list(folder.glob(".*")), "nothing is left there"
