"""Refuses to measure with another CAD than the one that mammogan evaluate has scored with: the page and Table 1 would
speak of two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mammogan.attack.config import column_name, report_folder
from mammogan.errors import MissingInput
from mammogan.evaluation.predictions import DONE
from mammogan.evaluation.scores_file import scores_in
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record
from mammogan.io.shell import shell_word
from mammogan.training.run.cad_source import CadSource
from mammogan.workspace import Resolution, Workspace

SPLIT = "test"


def refuse_another_cad(
    views: Sequence[Workspace], resolution: Resolution, cad: CadSource, models: Path | None, named: str
) -> None:
    """Raise MissingInput, naming both CADs and the command to run, if scores of mammogan evaluate are of another CAD.

    ``views``: the workspace of each objective and attack that is measured; ``models`` and ``named`` (--cad) say how the
    CAD was given. Where nothing is scored yet, nothing is refused.
    """
    ours = cad.sha256()
    for view in views:
        for theirs in _scored_with(view, resolution):
            if theirs != ours:
                root = shell_word(view.root)
                options = f" --models {shell_word(models)}" if models else ""
                options += f" --cad {shell_word(named)}" if named else ""
                raise MissingInput(
                    f"mammogan evaluate has scored the split {SPLIT} at {column_name(resolution, view.objective)} with "
                    f"{_name_of(view, resolution, theirs)} (sha256 {theirs[:12]}), and this is {cad.name} (sha256 "
                    f"{ours[:12]}): the page would speak of another CAD than Table 1. Give the same CAD (--cad, "
                    f"--models), or have this one score first:\n  mammogan evaluate --workspace {root}{options}"
                )


def _scored_with(view: Workspace, resolution: Resolution) -> Iterator[str]:
    """Yield the sha256 of the CAD that has scored each shard."""
    folder = scores_in(view.scores(SPLIT) / str(resolution))
    for name in folder.names():
        if kept := folder.read(name):
            yield str(kept["made_from"].get("cad_sha256"))


def _name_of(view: Workspace, resolution: Resolution, sha256: str) -> str:
    """Return the name of the CAD with this sha256, which the report records of each column."""
    done = report_folder(view, SPLIT) / "done.json"
    held = read_record(done, DONE).get("cads", {}) if file_exists(done) else {}
    found = held.get(column_name(resolution, view.objective), {})
    return str(found["name"]) if found.get("sha256") == sha256 else "another CAD"
