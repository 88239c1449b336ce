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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mammogan.attack.config import DicomConfig, GenerateConfig
from mammogan.cluster.job import Array, Job
from mammogan.cluster.launch import launch_array, on_requested_device
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.slurm.submission_record import folders_of_generate
from mammogan.cluster.tasks import Call, Series
from mammogan.io.options import Flat, Grouped, run
from mammogan.io.terminal import say
from mammogan.study.shares import share_of, work_through
from mammogan.workspace import Resolution, Workspace

if TYPE_CHECKING:
    from mammogan.attack.dicom.export import DicomTask
    from mammogan.attack.shard_task import ShardTask


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    """Folder that holds shards and runs; the adversarial mammograms are written there too."""
    config: Path | None = None
    """YAML file with values for these options."""
    generation: Flat[GenerateConfig] = field(default=GenerateConfig())
    export: Flat[DicomConfig] = field(default=DicomConfig())
    share: str = ""
    """K/N: make every N-th of all shards, starting with the K-th (counted from 1), in this process and without an
    index. If one shard fails, the others are still made. Each task of a study's array does this; the same command
    without --share completes the work."""
    cluster: Grouped[ClusterConfig] = field(default=ClusterConfig())


def execute(options: Options) -> int:
    """Make the missing adversarial shards and their index, here or as SLURM jobs."""
    from mammogan.attack.dicom.export import finish_dicom, make_keys
    from mammogan.attack.generate import finish

    workspace, planned = Workspace(options.workspace, options.generation.method), plans(options)
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
            if code := launch_array(array_of(workspace, resolution, tasks, files, missing), options.cluster):
                return code
        elif not options.cluster.dry_run:
            finish(tasks)
            finish_dicom(files)
    return 0


def arrays(options: Options) -> list[Array]:
    """Return the missing shards as one array for each resolution that lacks some."""
    workspace = Workspace(options.workspace, options.generation.method)
    left = [(r, tasks, files, steps_of(tasks, files)) for r, tasks, files in plans(options)]
    return [array_of(workspace, r, tasks, files, missing) for r, tasks, files, missing in left if missing]


def plans(options: Options) -> list[tuple[Resolution, list[ShardTask], list[DicomTask]]]:
    """Return, for each resolution, the tasks of all its shards and of their DICOM files."""
    from mammogan.attack.dicom.export import plan_dicom
    from mammogan.attack.generate import plan, resolutions

    workspace = Workspace(options.workspace, options.generation.method)
    config = on_requested_device(options.generation, options.cluster)
    planned = [(resolution, plan(workspace, resolution, config)) for resolution in resolutions(workspace, config)]
    exports = plan_dicom([task for _, tasks in planned for task in tasks], options.export)
    return [(r, tasks, [export for export in exports if export.shard.resolution == r]) for r, tasks in planned]


def steps_of(tasks: Sequence[ShardTask], files: Sequence[DicomTask]) -> dict[str, Series]:
    """Return the missing work by shard: its adversarial mammograms, then its DICOM files if these are requested."""
    from mammogan.attack.dicom.export import write_dicom
    from mammogan.attack.generate import generate_shard

    names = {task.name for task in tasks}
    file_of = {export.shard.name: export for export in files if export.shard.name in names and export.outdated()}
    steps = {}
    for task in tasks:
        alter = [Call(generate_shard, (task,))] if task.outdated() else []
        write = [Call(write_dicom, (file_of[task.name],))] if task.name in file_of else []
        if alter or write:
            steps[task.name] = Series((*alter, *write))
    return steps


def array_of(
    workspace: Workspace,
    resolution: Resolution,
    tasks: Sequence[ShardTask],
    files: Sequence[DicomTask],
    missing: Mapping[str, Series],
) -> Array:
    """Return an array that makes the missing shards, with a last job that writes the index of all shards."""
    from mammogan.attack.dicom.export import finish_dicom
    from mammogan.attack.generate import finish

    name, folder = f"generate-{resolution}{workspace.suffix}", workspace.adversarial(resolution)
    complete = files[0].folder.complete if files else folder / "index.json"
    index = Job(f"{name}-index", Series((Call(finish, (tasks,)), Call(finish_dicom, (files,)))), folder, complete)
    recorded = folders_of_generate(workspace, resolution)
    return Array(name, list(missing.values()), folder, index, makes=list(missing), recorded=recorded)


def main() -> NoReturn:
    run(Options, execute, __doc__)
