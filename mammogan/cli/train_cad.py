"""Train the classifier (CAD) of one resolution on the shards of a workspace.

    mammogan train-cad --workspace work --resolution low
    mammogan train-cad --nodes 2 --gpus-per-node 2 --profile slurm/example.yaml --dry-run

The run folder is WORKSPACE/runs/cad-<resolution>; the same command continues a stopped run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from mammogan.cluster.job import Job
from mammogan.cluster.launch import launch, on_requested_device
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import TrainCad
from mammogan.config import CadConfig
from mammogan.data.shards.index import ShardIndex
from mammogan.io.atomic import Digest, sha256
from mammogan.io.options import Flat, Grouped, run
from mammogan.study.outdated import training_outdated
from mammogan.training.run.preflight import (
    as_learned,
    check_cad_inputs,
    check_own_classes,
    choose_resolution,
    named_weights,
    refuse_other_settings,
)
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Resolution, Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder that holds the shards; the run folder is made in its runs/."""
    config: Path | None = None
    """YAML file with values for these options, such as a run's config.yaml."""
    training: Flat[CadConfig] = field(default=CadConfig(resolution="auto"))
    cluster: Grouped[ClusterConfig] = field(default=ClusterConfig())


def jobs(options: Options, digest: Digest = sha256) -> list[Job]:
    """Return the training as a job, the only one of this command."""
    workspace = Workspace(options.workspace)
    resolution = choose_resolution(options.training.resolution, workspace)
    compute = on_requested_device(options.training.compute, options.cluster)
    config = replace(options.training, resolution=str(resolution), compute=compute)
    folder = workspace.cad_run(resolution)
    check = partial(check_cad_inputs, as_learned(config), workspace)
    settings = partial(check_settings, folder, as_learned(config), digest)
    return [Job(folder.name, TrainCad(config, workspace), folder, folder / "done.json", config.pairs, check, settings)]


def check_settings(folder: Path, config: CadConfig, digest: Digest = sha256) -> None:
    """Raise UserError, before submission, for a classifier that cannot be imported or a run with other settings."""
    check_own_classes(classifier=config.classifier)
    refuse_other_settings(folder, config, digest)


def outdated(options: Options, digest: Digest) -> str:
    """Return why a finished training is not the one that is requested; empty when it is."""
    [job] = jobs(options)
    config = as_learned(options.training)
    shards = Workspace(options.workspace).shards(Resolution.parse(config.resolution))
    inputs = {"shards_sha256": ShardIndex.load(shards).fingerprint, **named_weights(config, digest)}
    return training_outdated(Run(job.folder), config, inputs)


def execute(options: Options) -> int:
    return launch(jobs(options), options.cluster)


def main() -> NoReturn:
    run(Options, execute, __doc__)
