"""The stages of a workspace and where each leaves its traces, by the workspace's convention."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mammogan.attack.settings import report_folder
from mammogan.cluster.records import of_altering, of_scoring
from mammogan.config import HIGH, OBJECTIVES, SPLITS, Direction, Resolution, UserError, Workspace

Kind = Literal["shards", "cad", "gan", "generate", "evaluate"]


@dataclass(frozen=True)
class Watched:
    """One stage at one resolution."""

    name: str
    """As launch/study.py calls it."""
    kind: Kind
    folder: Path
    """What it makes goes there."""
    complete: Path
    """The file that is there once it is done."""
    records: tuple[Path, ...]
    """Folders in which launch.json may name its jobs."""
    study_log: Path
    """What it said when launch/study.py ran it on one machine."""
    resolution: Resolution | None = None
    marks: tuple[Path, ...] = ()
    """Of work on shards: folders with a file split-*.json for each shard that is done."""
    sources: tuple[Path, ...] = ()
    """Of work on some splits: folders of all shards that there are."""
    split: str = "test"
    """Of an evaluation; of what alters, the one that it begins with."""

    @property
    def trains(self) -> bool:
        return self.kind in ("cad", "gan")


def stages_of(workspace: Workspace) -> list[Watched]:
    """All stages for every resolution of which there is a trace, and the evaluations; UserError where there is none."""
    found = _resolutions(workspace)
    if not found:
        there = "it is empty" if workspace.root.is_dir() else "there is no such folder"
        if workspace.root.is_dir() and any(workspace.root.iterdir()):
            there = f"found {', '.join(sorted(path.name for path in workspace.root.iterdir())[:6])}"
        raise UserError(
            f"{workspace.root} is no workspace: expected shards/, runs/, adversarial/ or study/ with something of a "
            f"study in it, {there}. Give --workspace, or begin with\n"
            f"  python launch/study.py --cohort labels.csv --workspace {workspace.root}"
        )
    stages = [stage for resolution in found for stage in _of(workspace, resolution)]
    return [*stages, *_evaluations(workspace)]


def _resolutions(workspace: Workspace) -> list[Resolution]:
    """Highest first; folders that are named otherwise are somebody else's."""
    places = ("shards/*", "runs/cad-*", "runs/gan-*", "adversarial/*", "study/generate-*")
    names = [path.name for place in places for path in workspace.root.glob(place)]
    sizes = {match[0] for name in names if (match := re.search(r"\b\d+x\d+\b", name))}
    found = []
    for size in sizes:
        try:
            found.append(Resolution.parse(size))
        except UserError:
            continue
    return sorted(found, reverse=True)


def _of(workspace: Workspace, resolution: Resolution) -> list[Watched]:
    study = workspace.root / "study"
    shards, altered = workspace.shards(resolution), workspace.adversarial(resolution)
    generate = f"generate-{resolution}"
    trainings: list[tuple[Kind, Path]] = [("cad", workspace.cad_run(resolution))]
    trainings += [("gan", workspace.gan_run(resolution, direction)) for direction in Direction]
    return [
        Watched(
            *(f"shards-{resolution}", "shards", shards, shards / "index.json"),
            *((study / "shards",), study / "shards.log", resolution, (shards / ".done",)),
        ),
        *(
            Watched(run.name, kind, run, run / "done.json", (run,), study / f"{run.name}.log", resolution)
            for kind, run in trainings
        ),
        Watched(
            *(generate, "generate", altered, altered / "index.json"),
            *(of_altering(workspace, resolution), study / f"{generate}.log", resolution),
            marks=(altered / ".done",),
            sources=(shards,),
        ),
    ]


def _evaluations(workspace: Workspace) -> list[Watched]:
    """Of the test split, and of others that have been begun."""
    study, stages = workspace.root / "study", []
    altered = [
        (view, Resolution.parse(index.parent.name))
        for view in (Workspace(workspace.root, objective) for objective in OBJECTIVES)
        for index in view.adversarial(HIGH).parent.glob("*x*/index.json")
    ]
    for split in reversed(SPLITS):
        folder, name = report_folder(workspace, split), f"evaluate-{split}"
        records = of_scoring(workspace, split)
        names = [record.name for record in records if record.parent == study]
        traces = (folder, *records, study / f"{name}.log")
        if split == "test" or any(trace.exists() for trace in traces):
            log = next((log for other in names if (log := study / f"{other}.log").exists()), study / f"{name}.log")
            shown = "evaluate" if split == "test" else name
            stages.append(
                Watched(
                    *(shown, "evaluate", folder, folder / "done.json", records, log),
                    marks=tuple(view.scores(split) / str(resolution) for view, resolution in altered),
                    sources=tuple(workspace.shards(resolution) for _, resolution in altered),
                    split=split,
                )
            )
    return stages
