"""Finds the stages of a workspace by the files that it has."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace

from mammogan.errors import UserError
from mammogan.io.shell import shell_word
from mammogan.left_by_others import ours_in
from mammogan.study.given_cad import given_cad
from mammogan.study.stage_files import StageFiles, evaluation, shards_of_study, stages_of_resolution
from mammogan.workspace import OBJECTIVES, SPLITS, Direction, Resolution, Workspace


def stages_of(workspace: Workspace) -> list[StageFiles]:
    """Return all stages of every resolution that has files here, and the evaluations; before there are any, the stage
    that makes the first shards, if it has begun. UserError where nothing has begun."""
    found, first = _resolutions(workspace), shards_of_study(workspace)
    if not found and (first.log.exists() or any(folder.exists() for folder in first.records)):
        return [first]
    if not found:
        there = "it is empty" if workspace.root.is_dir() else "there is no such folder"
        if workspace.root.is_dir() and any(workspace.root.iterdir()):
            there = f"found {', '.join(sorted(path.name for path in workspace.root.iterdir())[:6])}"
        raise UserError(
            f"{workspace.root} is no workspace: expected shards/, runs/, adversarial/ or study/ with something of a "
            f"study in it, {there}. Give --workspace, or begin with\n"
            f"  mammogan study --cohort labels.csv --workspace {shell_word(workspace.root)}"
        )
    stages = []
    for resolution in found:
        tried = [objective for objective in OBJECTIVES if _is_tried(workspace.of(objective), resolution)]
        stages += [_as_given(stage, workspace) for stage in stages_of_resolution(workspace, resolution, tried)]
    return [*stages, *_evaluations(workspace)]


def _as_given(stage: StageFiles, workspace: Workspace) -> StageFiles:
    """Return the stage of a CAD that is not trained here with where it comes from; any other as it is."""
    if stage.kind != "cad" or stage.resolution is None or stage.folder.exists():
        return stage
    try:
        return replace(stage, given=given_cad(workspace, stage.resolution))
    except (UserError, OSError) as error:
        return replace(stage, damage=str(error))


def _resolutions(workspace: Workspace) -> list[Resolution]:
    """Return the resolutions that have files here, highest first; folders with other names are not ours."""
    places = ("shards/*", "runs/cad-*", "runs/gan-*", "adversarial/*", "study/generate-*")
    names = [path.name for place in places for path in ours_in(workspace.root, place)]
    sizes = {match[0] for name in names if (match := re.search(r"\b\d+x\d+\b", name))}
    found = []
    for size in sizes:
        with suppress(UserError):
            found.append(Resolution.parse(size))
    return sorted(found, reverse=True)


def _is_tried(workspace: Workspace, resolution: Resolution) -> bool:
    """Return whether a workspace uses an objective: the study's always, another one once it has files here."""
    runs = [workspace.gan_run(resolution, direction) for direction in Direction]
    logs = [workspace.root / "study" / f"{run.name}.log" for run in runs]
    traces = (*runs, *logs, workspace.adversarial(resolution))
    return workspace.objective == "study" or any(trace.exists() for trace in traces)


def _evaluations(workspace: Workspace) -> list[StageFiles]:
    """Return the evaluation of the test split, and of other splits that were begun."""
    attacked = [
        (view, Resolution.parse(folder.name))
        for view in map(workspace.of, OBJECTIVES)
        for folder in ours_in(workspace.root, f"adversarial{view.suffix}/*x*")
        if (folder / "index.json").exists()
    ]
    stages = [evaluation(workspace, split, attacked) for split in reversed(SPLITS)]
    return [s for s in stages if s.split == "test" or any(p.exists() for p in (s.folder, *s.records, s.log))]
