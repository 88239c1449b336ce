"""The CAD that a study was given from outside (--cad): recorded, so that it does not count as one to be trained."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record, write_record
from mammogan.training.run.run_folder import Run
from mammogan.workspace import OBJECTIVES, Direction, Resolution, Workspace

REMEDY = "It says where the CAD comes from. Repeat the same mammogan study command, which writes it again"


def record_given_cad(workspace: Workspace, cad: str) -> None:
    """Record the --cad of a study that begins; empty: its CAD is trained by itself."""
    if cad:
        write_record(_record(workspace), {"cad": cad})
    else:
        _record(workspace).unlink(missing_ok=True)


def given_cad(workspace: Workspace, resolution: Resolution) -> str:
    """Return where the CAD of a resolution was given from, as --cad: to its generators' trainings, or to the study;
    empty if it was not. Settings of trainings that cannot be read are passed over. Raise UserError if none of them says
    it and the study's record is damaged."""
    runs = [workspace.of(o).gan_run(resolution, direction) for o in OBJECTIVES for direction in Direction]
    for run in runs:
        with suppress(UserError, OSError):
            if (run / "config.yaml").is_file():
                return str(Run(run).settings.get("cad") or "")
    record = _record(workspace)
    return str(read_record(record, {"cad": str}, REMEDY)["cad"]) if file_exists(record) else ""


def _record(workspace: Workspace) -> Path:
    return workspace.root / "study" / "given-cad.json"
