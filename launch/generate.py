"""Alter every mammogram of a split with the generator of its class, into WORKSPACE/adversarial/<resolution>/.

One task makes one shard; what is there and still matches its mammograms and its generator is left alone, so the same
command goes on where it was stopped. On SLURM the tasks are an array, followed by a job that writes the index. With
--dicom, the altered mammograms are written as DICOM files too, each marked as synthetic (docs/dicom_export.md).

    python launch/generate.py --workspace work
    python launch/generate.py --workspace work --resolution high --split validation test --profile slurm/example.yaml
    python launch/generate.py --workspace work --resolution high --dicom --native
    python launch/generate.py --workspace films/work --models work --out-of-domain "film, models from phantoms"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mammogan.attack.settings import DicomConfig, GenerateConfig
from mammogan.cluster.launch import Array, Job, launch_array, on_asked_device
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.records import of_altering
from mammogan.cluster.shares import share_of, work_through
from mammogan.cluster.tasks import Call, Series
from mammogan.command_line import Flat, run
from mammogan.config import Resolution, Workspace
from mammogan.terminal import say

if TYPE_CHECKING:
    from mammogan.attack.dicom_export import DicomTask
    from mammogan.attack.generate import ShardTask


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    config: Path | None = None
    """YAML file with values for these options."""
    generation: Flat[GenerateConfig] = field(default=GenerateConfig())
    export: Flat[DicomConfig] = field(default=DicomConfig())
    share: str = ""
    """K/N: of all shards every N-th from the K-th on, from 1, in this process and without an index; one that fails
    keeps none of the others from being made. What each task of a study's array does; the same command without it
    completes the work."""
    cluster: Flat[ClusterConfig] = field(default=ClusterConfig())


def main(options: Options) -> int:
    from mammogan.attack.dicom_export import finish_dicom, make_keys
    from mammogan.attack.generate import finish

    workspace, planned = Workspace(options.workspace, options.generation.objective), plans(options)
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
    """What is left to be done, an array for each resolution that lacks shards."""
    workspace = Workspace(options.workspace, options.generation.objective)
    left = [(r, tasks, files, steps_of(tasks, files)) for r, tasks, files in plans(options)]
    return [array_of(workspace, r, tasks, files, missing) for r, tasks, files, missing in left if missing]


def plans(options: Options) -> list[tuple[Resolution, list[ShardTask], list[DicomTask]]]:
    """All shards of each resolution, and their DICOM files."""
    from mammogan.attack.dicom_export import plan_dicom
    from mammogan.attack.generate import plan, resolutions

    workspace = Workspace(options.workspace, options.generation.objective)
    config = on_asked_device(options.generation, options.cluster)
    planned = [(resolution, plan(workspace, resolution, config)) for resolution in resolutions(workspace, config)]
    exports = plan_dicom([task for _, tasks in planned for task in tasks], options.export)
    return [(r, tasks, [export for export in exports if export.shard.resolution == r]) for r, tasks in planned]


def steps_of(tasks: Sequence[ShardTask], files: Sequence[DicomTask]) -> dict[str, Series]:
    """What is left to be done, by shard: its fakes, then its DICOM files if these are asked for."""
    from mammogan.attack.dicom_export import write_dicom
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
    """The missing shards as an array, and the index of all of them as what follows."""
    from mammogan.attack.dicom_export import finish_dicom
    from mammogan.attack.generate import finish

    name, folder = f"generate-{resolution}{workspace.suffix}", workspace.adversarial(resolution)
    complete = files[0].folder.complete if files else folder / "index.json"
    index = Job(f"{name}-index", Series((Call(finish, (tasks,)), Call(finish_dicom, (files,)))), folder, complete)
    recorded = of_altering(workspace, resolution)
    return Array(name, list(missing.values()), folder, index, makes=list(missing), recorded=recorded)


if __name__ == "__main__":
    run(Options, main, __doc__)
