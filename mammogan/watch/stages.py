"""Lists the stages of a workspace and where the workspace keeps the files of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mammogan.attack.config import report_folder
from mammogan.cluster.slurm.submission_record import folders_of_evaluate, folders_of_generate
from mammogan.errors import UserError
from mammogan.io.shell import shell_word
from mammogan.workspace import OBJECTIVES, SPLITS, Direction, Resolution, Workspace

Kind = Literal["shards", "cad", "gan", "generate", "evaluate"]


@dataclass(frozen=True)
class Watched:
    """One stage of a workspace, and where its files are."""

    name: str
    """Its name in mammogan study."""
    kind: Kind
    folder: Path
    """Folder for what it makes."""
    complete: Path
    """File that exists once it is done."""
    records: tuple[Path, ...]
    """Folders in which launch.json may name its jobs."""
    study_log: Path
    """Its output when mammogan study ran it on one machine."""
    resolution: Resolution | None = None
    marks: tuple[Path, ...] = ()
    """For work on shards: folders with a file split-*.json for each finished shard."""
    sources: tuple[Path, ...] = ()
    """For work on some splits: folders of all existing shards."""
    split: str = "test"
    """The split of an evaluation; for mammogan generate, the first split."""

    @property
    def trains(self) -> bool:
        """Whether it is a training."""
        return self.kind in ("cad", "gan")


def stages_of(workspace: Workspace) -> list[Watched]:
    """Return all stages of every resolution that has files here, and the evaluations; UserError where there are
    none."""
    found = _resolutions(workspace)
    if not found:
        there = "it is empty" if workspace.root.is_dir() else "there is no such folder"
        if workspace.root.is_dir() and any(workspace.root.iterdir()):
            there = f"found {', '.join(sorted(path.name for path in workspace.root.iterdir())[:6])}"
        raise UserError(
            f"{workspace.root} is no workspace: expected shards/, runs/, adversarial/ or study/ with something of a "
            f"study in it, {there}. Give --workspace, or begin with\n"
            f"  mammogan study --cohort labels.csv --workspace {shell_word(workspace.root)}"
        )
    stages = [stage for resolution in found for stage in _of(workspace, resolution)]
    return [*stages, *_evaluations(workspace)]


def _resolutions(workspace: Workspace) -> list[Resolution]:
    """Return the resolutions that have files here, highest first; folders with other names are not ours."""
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
    study, shards = workspace.root / "study", workspace.shards(resolution)
    views = [view for objective in OBJECTIVES if _is_tried(view := workspace.of(objective), resolution)]
    trainings: list[tuple[Kind, Path]] = [("cad", workspace.cad_run(resolution))]
    trainings += [("gan", view.gan_run(resolution, direction)) for view in views for direction in Direction]
    return [
        Watched(
            *(f"shards-{resolution}", "shards", shards, shards / "index.json"),
            *((study / "shards",), study / "shards.log", resolution, (shards / ".done",)),
        ),
        *(
            Watched(run.name, kind, run, run / "done.json", (run,), study / f"{run.name}.log", resolution)
            for kind, run in trainings
        ),
        *(_generation(view, resolution) for view in views),
    ]


def _generation(workspace: Workspace, resolution: Resolution) -> Watched:
    """Return the stage that writes one objective's adversarial mammograms."""
    name, made = f"generate-{resolution}{workspace.suffix}", workspace.adversarial(resolution)
    log = workspace.root / "study" / f"{name}.log"
    return Watched(
        *(name, "generate", made, made / "index.json", folders_of_generate(workspace, resolution), log, resolution),
        marks=(made / ".done",),
        sources=(workspace.shards(resolution),),
    )


def _is_tried(workspace: Workspace, resolution: Resolution) -> bool:
    """Return whether a workspace uses an objective: the study's always, another one once it has files here."""
    names = [f"gan-{resolution}-{direction}{workspace.suffix}" for direction in Direction]
    runs = [workspace.gan_run(resolution, direction) for direction in Direction]
    traces = (*runs, workspace.adversarial(resolution), *(workspace.root / "study" / f"{name}.log" for name in names))
    return workspace.objective == "study" or any(trace.exists() for trace in traces)


def _evaluations(workspace: Workspace) -> list[Watched]:
    """Return the evaluation of the test split, and of other splits that were begun."""
    study, stages = workspace.root / "study", []
    altered = [
        (view, Resolution.parse(index.parent.name))
        for view in map(workspace.of, OBJECTIVES)
        for index in workspace.root.glob(f"adversarial{view.suffix}/*x*/index.json")
    ]
    for split in reversed(SPLITS):
        folder, name = report_folder(workspace, split), f"evaluate-{split}"
        records = folders_of_evaluate(workspace, split)
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
