"""Train the classifier (CAD) of one resolution on the shards of a workspace.

The run folder is WORKSPACE/runs/cad-<resolution>; the same command goes on where a run was stopped.

    python launch/train_cad.py --workspace work --resolution low
    python launch/train_cad.py --nodes 2 --gpus-per-node 2 --profile slurm/example.yaml --dry-run
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mammogan.cluster.launch import Job, choose_resolution, launch, on_asked_device, refuse_other_settings
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.tasks import TrainCad
from mammogan.command_line import Flat, run
from mammogan.config import CadConfig, Workspace
from mammogan.training.inputs import as_learned, check_cad_inputs


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    config: Path | None = None
    """YAML file with values for these options, such as a run's config.yaml."""
    training: Flat[CadConfig] = field(default=CadConfig(resolution="auto"))
    cluster: Flat[ClusterConfig] = field(default=ClusterConfig())


def jobs(options: Options) -> list[Job]:
    workspace = Workspace(options.workspace)
    resolution = choose_resolution(options.training.resolution, workspace)
    compute = on_asked_device(options.training.compute, options.cluster)
    config = replace(options.training, resolution=str(resolution), compute=compute)
    folder = workspace.cad_run(resolution)
    check = partial(check_cad_inputs, config, workspace)
    settings = partial(refuse_other_settings, folder, as_learned(config))
    return [Job(folder.name, TrainCad(config, workspace), folder, folder / "done.json", config.pairs, check, settings)]


def main(options: Options) -> int:
    return launch(jobs(options), options.cluster)


if __name__ == "__main__":
    run(Options, main, __doc__)
