"""Lists the stages of a study, with the files of each and the stages that it needs: ``study`` runs them, ``watch``
shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mammogan.attack.config import report_folder
from mammogan.workspace import Direction, Objective, Resolution, Workspace

Kind = Literal["shards", "cad", "gan", "generate", "evaluate", "pool"]


@dataclass(frozen=True)
class StageFiles:
    """One stage, and where the workspace keeps its files."""

    name: str
    kind: Kind
    folder: Path
    """Folder for what it makes."""
    records: tuple[Path, ...]
    """Folders in which launch.json may name its jobs."""
    log: Path
    """Its output when mammogan study ran it on one machine."""
    needs: tuple[str, ...] = ()
    """Names of the stages that come before."""
    resolution: Resolution | None = None
    direction: Direction | None = None
    objective: Objective = "study"
    marks: tuple[Path, ...] = ()
    """For work on shards: folders with a file split-*.json for each finished shard."""
    sources: tuple[Path, ...] = ()
    """For work on some splits: folders of all existing shards."""
    split: str = "test"
    """The split of an evaluation; for mammogan generate, the first split."""
    given: str = ""
    """Of a CAD that was given from outside, and is not trained here: where it is, as --cad says it."""
    damage: str = ""
    """Of a CAD that is not trained here: why it cannot be said whether it was given from outside."""

    @property
    def complete(self) -> Path:
        """File that exists once it is done."""
        if self.kind == "pool":
            return self.folder / "pooled.md"
        return self.folder / ("index.json" if self.kind in ("shards", "generate") else "done.json")

    @property
    def trains(self) -> bool:
        """Whether it is a training."""
        return self.kind in ("cad", "gan")


def record_folders(workspace: Workspace, own: Path, stage: str) -> tuple[Path, Path]:
    """Return the folders in which launch.json may name jobs of a stage: its ``own``, if its command submitted them, and
    that of a study."""
    return own, workspace.root / "study" / stage


def stages_of_resolution(
    workspace: Workspace, resolution: Resolution, objectives: Sequence[Objective]
) -> list[StageFiles]:
    """Return the stages of one resolution but for its evaluation, in the order in which they can run."""
    generators = [_gan(workspace.of(o), o, resolution, direction) for o in objectives for direction in Direction]
    attacks = [_generate(workspace.of(objective), objective, resolution) for objective in objectives]
    cad = _training(workspace, "cad", workspace.cad_run(resolution), ["shards"], resolution)
    return [shards_files(workspace, resolution), cad, *generators, *attacks]


def evaluation(workspace: Workspace, split: str, attacked: Sequence[tuple[Workspace, Resolution]]) -> StageFiles:
    """Return the evaluation of a split. ``attacked``: views of the workspace by objective, and resolutions, that have
    adversarial mammograms."""
    name, folder = f"evaluate-{split}", report_folder(workspace, split)
    return StageFiles(
        name=name,
        kind="evaluate",
        folder=folder,
        records=record_folders(workspace, workspace.scores(split), name),
        log=_log(workspace, name),
        marks=tuple(view.scores(split) / str(resolution) for view, resolution in attacked),
        sources=tuple(workspace.shards(resolution) for _, resolution in attacked),
        split=split,
    )


def shards_files(workspace: Workspace, resolution: Resolution) -> StageFiles:
    """Return the shards of one resolution; one command makes those of all, as the stage 'shards' of a study."""
    folder = workspace.shards(resolution)
    return StageFiles(
        name=f"shards-{resolution}",
        kind="shards",
        folder=folder,
        records=(workspace.root / "study" / "shards",),
        log=_log(workspace, "shards"),
        resolution=resolution,
        marks=(folder / ".done",),
    )


def shards_of_study(workspace: Workspace) -> StageFiles:
    """Return the stage that makes the shards of all resolutions, of a study that has none at any resolution yet."""
    return StageFiles(
        name="shards",
        kind="shards",
        folder=workspace.root / "shards",
        records=(workspace.root / "study" / "shards",),
        log=_log(workspace, "shards"),
    )


def _training(
    workspace: Workspace, kind: Literal["cad", "gan"], run: Path, needs: Sequence[str], resolution: Resolution
) -> StageFiles:
    """Return a training, whose run folder has its name and records its jobs."""
    return StageFiles(
        name=run.name,
        kind=kind,
        folder=run,
        records=(run,),
        log=_log(workspace, run.name),
        needs=tuple(needs),
        resolution=resolution,
    )


def _gan(workspace: Workspace, objective: Objective, resolution: Resolution, direction: Direction) -> StageFiles:
    """Return a generator's training. The lesion objective inserts what its remover removed, so removal comes first."""
    run, needs = workspace.gan_run(resolution, direction), [workspace.cad_run(resolution).name]
    if objective == "lesion" and direction is Direction.INSERT:
        needs.append(workspace.gan_run(resolution, Direction.REMOVE).name)
    training = _training(workspace, "gan", run, needs, resolution)
    return replace(training, direction=direction, objective=objective)


def _generate(workspace: Workspace, objective: Objective, resolution: Resolution) -> StageFiles:
    """Return the stage that writes one objective's adversarial mammograms."""
    name, made = f"generate-{resolution}{workspace.suffix}", workspace.adversarial(resolution)
    return StageFiles(
        name=name,
        kind="generate",
        folder=made,
        records=record_folders(workspace, made, name),
        log=_log(workspace, name),
        needs=tuple(workspace.gan_run(resolution, direction).name for direction in Direction),
        resolution=resolution,
        objective=objective,
        marks=(made / ".done",),
        sources=(workspace.shards(resolution),),
    )


def _log(workspace: Workspace, name: str) -> Path:
    return workspace.root / "study" / f"{name}.log"
