"""Train the generators of one resolution against their discriminators, starting from the trained classifier.

    mammogan train-gan --nodes 2
    mammogan train-gan --workspace work --resolution low --direction remove --cluster local

Each direction is a separate training; the run folders are WORKSPACE/runs/gan-<resolution>-<direction>. The same command
continues a stopped run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

from mammogan.cluster.job import Job
from mammogan.cluster.launch import launch, on_requested_device
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import TrainGan
from mammogan.config import GanConfig
from mammogan.data.shards.index import ShardIndex
from mammogan.io.atomic import Digest, sha256
from mammogan.io.options import Flat, Grouped, run
from mammogan.study.outdated import training_outdated
from mammogan.training.run.cad_source import cad_source
from mammogan.training.run.checkpoint_files import choose_checkpoint
from mammogan.training.run.preflight import (
    check_gan_inputs,
    check_own_classes,
    check_remover,
    choose_resolution,
    refuse_other_settings,
)
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Resolution, Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder that holds the shards and the trained CAD; the run folders are made in its runs/."""
    direction: Literal["remove", "insert", "both"] = "both"
    """remove: positives are made to look negative. insert: negatives are made to look positive. both: one after the
    other; on SLURM two jobs, and with the lesion objective the job of insert waits for that of remove."""
    config: Path | None = None
    """YAML file with values for these options, such as a run's config.yaml."""
    training: Flat[GanConfig] = field(default=GanConfig(resolution="auto"))
    cluster: Grouped[ClusterConfig] = field(default=ClusterConfig())


def jobs(options: Options, digest: Digest = sha256) -> list[Job]:
    """Return one job for each requested direction."""
    workspace = Workspace(options.workspace, options.training.objective)
    resolution = choose_resolution(options.training.resolution, workspace)
    compute = on_requested_device(options.training.compute, options.cluster)
    config = replace(options.training, resolution=str(resolution), compute=compute)
    chosen = list(Direction) if options.direction == "both" else [Direction(options.direction)]
    return [_job(config, direction, workspace, resolution, chosen, digest) for direction in chosen]


def _job(
    config: GanConfig,
    direction: Direction,
    workspace: Workspace,
    resolution: Resolution,
    chosen: Sequence[Direction],
    digest: Digest,
) -> Job:
    """Return one training as a job. With the lesion objective, insertion uses the trained remover, so removal comes
    first."""
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
        settings=partial(check_settings, folder, config, digest),
        after=remover if comes_first else "",
    )


def check(config: GanConfig, workspace: Workspace, needs_remover: bool) -> None:
    """Raise MissingInput naming the command to run when an input does not exist."""
    check_gan_inputs(config, workspace)
    if needs_remover:
        check_remover(Resolution.parse(config.resolution), workspace)


def check_settings(folder: Path, config: GanConfig, digest: Digest = sha256) -> None:
    """Raise UserError, before submission, for a generator that cannot be imported or a run with other settings."""
    check_own_classes(generator=config.generator)
    refuse_other_settings(folder, config, digest)


def outdated(options: Options, digest: Digest) -> str:
    """Return why a finished training of one direction is not the one that is requested; empty when it is."""
    [job] = jobs(options)
    workspace, resolution = Workspace(options.workspace), Resolution.parse(options.training.resolution)
    remover, run = workspace.of("lesion").gan_run(resolution, Direction.REMOVE), Run(job.folder)
    inputs = {"cad_sha256": cad_source(workspace, resolution, options.training.cad).sha256(digest)}
    if run.recorded({"remover_sha256": ""}):
        inputs["remover_sha256"] = digest(choose_checkpoint(remover))
    inputs["shards_sha256"] = ShardIndex.load(workspace.shards(resolution)).fingerprint
    return training_outdated(run, options.training, inputs)


def execute(options: Options) -> int:
    return launch(jobs(options), options.cluster)


def main() -> NoReturn:
    run(Options, execute, __doc__)
