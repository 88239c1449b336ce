"""Train the generators of one resolution against their discriminators, starting from its trained classifier.

Each direction is a training of its own; the run folders are WORKSPACE/runs/gan-<resolution>-<direction>, and the same
command goes on where a run was stopped.

    python launch/train_gan.py --nodes 2
    python launch/train_gan.py --workspace work --resolution low --direction remove --cluster local
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from mammogan.cluster.launch import Job, choose_resolution, launch, on_asked_device, refuse_other_settings
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.tasks import TrainGan
from mammogan.command_line import Flat, run
from mammogan.config import Direction, GanConfig, Resolution, Workspace
from mammogan.training.inputs import check_gan_inputs, check_remover


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    direction: Literal["remove", "insert", "both"] = "both"
    """remove: positives come to look negative. insert: the other way. both: one after the other, on SLURM two jobs,
    with the lesion objective the second after the first."""
    config: Path | None = None
    """YAML file with values for these options, such as a run's config.yaml."""
    training: Flat[GanConfig] = field(default=GanConfig(resolution="auto"))
    cluster: Flat[ClusterConfig] = field(default=ClusterConfig())


def jobs(options: Options) -> list[Job]:
    workspace = Workspace(options.workspace, options.training.objective)
    resolution = choose_resolution(options.training.resolution, workspace)
    compute = on_asked_device(options.training.compute, options.cluster)
    config = replace(options.training, resolution=str(resolution), compute=compute)
    chosen = list(Direction) if options.direction == "both" else [Direction(options.direction)]
    return [_job(config, direction, workspace, resolution, chosen) for direction in chosen]


def _job(
    config: GanConfig, direction: Direction, workspace: Workspace, resolution: Resolution, chosen: Sequence[Direction]
) -> Job:
    """One training. The lesion objective inserts what its remover has removed: that comes first, or has come before."""
    folder, lesion = workspace.gan_run(resolution, direction), config.objective == "lesion"
    remover = workspace.gan_run(resolution, Direction.REMOVE).name if lesion and direction is Direction.INSERT else ""
    comes_first = Direction.REMOVE in chosen
    return Job(
        name=folder.name,
        task=TrainGan(config, direction, workspace),
        folder=folder,
        complete=folder / "done.json",
        pairs=config.lesion.pairs if lesion else config.pairs,
        check=partial(check, config, workspace, needs_remover=bool(remover) and not comes_first),
        settings=partial(refuse_other_settings, folder, config),
        after=remover if comes_first else "",
    )


def check(config: GanConfig, workspace: Workspace, needs_remover: bool) -> None:
    """MissingInput naming the command to run when something that is needed is not there."""
    check_gan_inputs(config, workspace)
    if needs_remover:
        check_remover(Resolution.parse(config.resolution), workspace)


def main(options: Options) -> int:
    return launch(jobs(options), options.cluster)


if __name__ == "__main__":
    run(Options, main, __doc__)
