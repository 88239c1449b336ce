"""Make an adversarial mammogram from every mammogram of a split, with the generator of its class.

    mammogan generate --workspace work
    mammogan generate --workspace work --resolution high --split validation test --profile slurm/example.yaml
    mammogan generate --workspace work --resolution high --dicom --native
    mammogan generate --workspace films/work --models work --out-of-domain "film, models from phantoms"

The results go to WORKSPACE/adversarial/<resolution>/. Each task makes one shard. Shards that exist and still match
their mammograms and their generator are kept, so the same command continues a stopped run. On SLURM the tasks are an
array, followed by a job that writes the index. With --dicom, the adversarial mammograms are also written as DICOM
files, each marked as synthetic (docs/dicom_export.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn

from mammogan.attack.config import DicomConfig, GenerateConfig
from mammogan.attack.dicom.dicom_task import DicomTask, make_keys, plan_dicom
from mammogan.attack.plan import plan_shards, resolutions
from mammogan.attack.plan_to_submit import plan_to_submit
from mammogan.attack.shard_task import ShardTask
from mammogan.cluster.backend import choose
from mammogan.cluster.job import Array, Job
from mammogan.cluster.launch import launch_array, on_requested_device
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Call, Series
from mammogan.io.atomic import Digest, sha256
from mammogan.io.options import Flat, Grouped, Internal, run
from mammogan.io.own_files import file_exists
from mammogan.io.terminal import say
from mammogan.study.outdated import first_of
from mammogan.study.shares import share_of, work_through
from mammogan.study.stage_files import record_folders
from mammogan.workspace import Resolution, Workspace


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder that holds shards and runs; the adversarial mammograms are written there too."""
    config: Path | None = None
    """YAML file with values for these options."""
    generation: Flat[GenerateConfig] = field(default=GenerateConfig())
    export: Flat[DicomConfig] = field(default=DicomConfig())
    share: Internal[str] = ""
    """K/N: make every N-th of all shards, starting with the K-th (counted from 1), in this process and without an
    index. If one shard fails, the others are still made. Each task of a study's array does this; the same command
    without --share completes the work."""
    cluster: Grouped[ClusterConfig] = field(default=ClusterConfig())


def execute(options: Options) -> int:
    """Make the missing adversarial shards and their index, here or as SLURM jobs."""
    planned = plans(options, planner(options))
    if not options.cluster.dry_run:
        make_keys([file for _, _, files in planned for file in files])
    if options.share:
        own = set(share_of([(r, task.name) for r, tasks, _ in planned for task in tasks], options.share))
        steps: dict[str, Series] = {}
        for resolution, tasks, files in planned:
            left = steps_of([task for task in tasks if (resolution, task.name) in own], files)
            steps |= {f"{resolution}/{name}": step for name, step in left.items()}
        work_through(steps)
        return 0
    for resolution, tasks, files in planned:
        missing = steps_of(tasks, files)
        say(f"{resolution}: {len(tasks) - len(missing)} of {len(tasks)} shards are up to date")
        if missing:
            array = array_of(resolution, tasks, files, missing)
            if code := launch_array(array, options.cluster):
                return code
        elif not options.cluster.dry_run:
            finish_all(tasks, files)
    return 0


def planner(options: Options) -> Callable[[Workspace, Resolution, GenerateConfig], list[ShardTask]]:
    """Return the function that plans the shards of a resolution. Where jobs are submitted, whole checkpoints are not
    read: their tasks do that."""
    if not options.share and choose(options.cluster).name == "slurm":
        return plan_to_submit
    from mammogan.attack.generate import plan

    return plan


def outdated(options: Options, digest: Digest) -> str:
    """Return why adversarial mammograms have to be made (again); empty when all are current and listed."""
    reasons = []
    for _, tasks, files in plans(options, partial(plan_shards, digest=digest)):
        reasons += [f"{task.name}: {why}" for task in tasks if (why := task.outdated(digest))]
        written = [file for file in files if file.outdated(digest)]
        reasons += [f"{file.shard.name}: not written as DICOM" for file in written if not file.shard.outdated(digest)]
        lists = dict.fromkeys(file.folder.complete for file in files)
        reasons += [f"{path.name} of the DICOM files not there" for path in lists if not file_exists(path)]
    return first_of(reasons)


def arrays(options: Options, digest: Digest = sha256) -> list[Array]:
    """Return the missing shards as one array for each resolution that lacks some."""
    planned = plans(options, partial(plan_shards, digest=digest))
    left = [(r, tasks, files, steps_of(tasks, files)) for r, tasks, files in planned]
    return [array_of(*of_resolution) for of_resolution in left if of_resolution[-1]]


def plans(
    options: Options, plan: Callable[[Workspace, Resolution, GenerateConfig], list[ShardTask]]
) -> list[tuple[Resolution, list[ShardTask], list[DicomTask]]]:
    """Return, for each resolution, the tasks of all its shards and of their DICOM files."""
    workspace = Workspace(options.workspace, options.generation.method)
    config = on_requested_device(options.generation, options.cluster)
    planned = [(resolution, plan(workspace, resolution, config)) for resolution in resolutions(workspace, config)]
    exports = plan_dicom([task for _, tasks in planned for task in tasks], options.export)
    return [(r, tasks, [export for export in exports if export.shard.resolution == r]) for r, tasks in planned]


def steps_of(tasks: Sequence[ShardTask], files: Sequence[DicomTask]) -> dict[str, Series]:
    """Return the missing work by shard: its adversarial mammograms, then its DICOM files if these are requested."""
    names = {task.name for task in tasks}
    file_of = {export.shard.name: export for export in files if export.shard.name in names and export.outdated()}
    steps = {}
    for task in tasks:
        alter = [Call(alter_shard, (task,))] if task.outdated() else []
        write = [Call(write_files, (file_of[task.name],))] if task.name in file_of else []
        if alter or write:
            steps[task.name] = Series((*alter, *write))
    return steps


def array_of(
    resolution: Resolution, tasks: Sequence[ShardTask], files: Sequence[DicomTask], missing: Mapping[str, Series]
) -> Array:
    """Return an array that makes the missing shards, with a last job that writes the index of all shards."""
    workspace = tasks[0].workspace
    name, folder = f"generate-{resolution}{workspace.suffix}", workspace.adversarial(resolution)
    complete = files[0].folder.complete if files else folder / "index.json"
    index = Job(f"{name}-index", Call(finish_all, (tasks, files)), folder, complete)
    recorded = record_folders(workspace, folder, name)
    return Array(name, list(missing.values()), folder, index, makes=list(missing), recorded=recorded)


def alter_shard(task: ShardTask) -> None:
    from mammogan.attack.generate import generate_shard

    generate_shard(task)


def write_files(task: DicomTask) -> None:
    from mammogan.attack.dicom.export import write_dicom

    write_dicom(task)


def finish_all(tasks: Sequence[ShardTask], files: Sequence[DicomTask]) -> None:
    """Write the index of all shards, and of their DICOM files."""
    from mammogan.attack.dicom.export import finish_dicom
    from mammogan.attack.generate import finish

    finish(tasks)
    finish_dicom(files)


def main() -> NoReturn:
    run(Options, execute, __doc__)
