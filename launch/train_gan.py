"""Train the generators of one resolution against their discriminators, starting from its trained classifier.

Each direction is a training of its own; the run folders are WORKSPACE/runs/gan-<resolution>-<direction>, and the same
command goes on where a run was stopped.

    python launch/train_gan.py --nodes 2
    python launch/train_gan.py --workspace work --resolution low --direction remove --cluster local
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from mammogan.cluster.launch import Job, choose_resolution, launch, on_asked_device, refuse_other_settings
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.tasks import TrainGan
from mammogan.command_line import Flat, run
from mammogan.config import Direction, GanConfig, Workspace
from mammogan.training.inputs import check_gan_inputs


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    direction: Literal["remove", "insert", "both"] = "both"
    """remove: positives come to look negative. insert: the other way. both: one after the other, on SLURM two jobs."""
    config: Path | None = None
    """YAML file with values for these options, such as a run's config.yaml."""
    training: Flat[GanConfig] = field(default=GanConfig(resolution="auto"))
    cluster: Flat[ClusterConfig] = field(default=ClusterConfig())


def jobs(options: Options) -> list[Job]:
    workspace = Workspace(options.workspace, options.training.objective)
    resolution = choose_resolution(options.training.resolution, workspace)
    compute = on_asked_device(options.training.compute, options.cluster)
    config = replace(options.training, resolution=str(resolution), compute=compute)
    check = partial(check_gan_inputs, config, workspace)
    chosen = list(Direction) if options.direction == "both" else [Direction(options.direction)]
    folders = {direction: workspace.gan_run(resolution, direction) for direction in chosen}
    return [
        Job(
            *(folder.name, TrainGan(config, direction, workspace), folder, folder / "done.json", config.pairs),
            *(check, partial(refuse_other_settings, folder, config)),
        )
        for direction, folder in folders.items()
    ]


def main(options: Options) -> int:
    return launch(jobs(options), options.cluster)


if __name__ == "__main__":
    run(Options, main, __doc__)
