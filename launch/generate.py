"""Alter every mammogram of a split with the generator of its class, into WORKSPACE/adversarial/<resolution>/.

One task makes one shard; what is there and still matches its mammograms and its generator is left alone, so the same
command goes on where it was stopped. On SLURM the tasks are an array, followed by a job that writes the index.

    python launch/generate.py --workspace work
    python launch/generate.py --workspace work --resolution high --split validation test --profile slurm/example.yaml
    python launch/generate.py --workspace films/work --models work --out-of-domain "film, models from phantoms"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mammogan.attack.settings import GenerateConfig
from mammogan.cluster.launch import Array, Job, launch_array, on_asked_device
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.tasks import Call
from mammogan.command_line import Flat, run
from mammogan.config import Resolution, Workspace
from mammogan.terminal import say

if TYPE_CHECKING:
    from mammogan.attack.generate import ShardTask


@dataclass(frozen=True)
class Options:
    workspace: Path = Path("work")
    config: Path | None = None
    """YAML file with values for these options."""
    generation: Flat[GenerateConfig] = field(default=GenerateConfig())
    cluster: Flat[ClusterConfig] = field(default=ClusterConfig())


def main(options: Options) -> int:
    from mammogan.attack.generate import finish, plan, resolutions

    workspace = Workspace(options.workspace)
    config = on_asked_device(options.generation, options.cluster)
    planned = [(r, plan(workspace, r, config)) for r in resolutions(workspace, config)]
    for resolution, tasks in planned:
        missing = [task for task in tasks if task.outdated()]
        say(f"{resolution}: {len(tasks) - len(missing)} of {len(tasks)} shards are up to date")
        if missing:
            if code := launch_array(array_of(workspace, resolution, tasks, missing), options.cluster):
                return code
        elif not options.cluster.dry_run:
            finish(tasks)
    return 0


def array_of(workspace: Workspace, resolution: Resolution, tasks: list[ShardTask], missing: list[ShardTask]) -> Array:
    """The missing shards as an array, and the index of all of them as what follows."""
    from mammogan.attack.generate import finish, generate_shard

    name, folder = f"generate-{resolution}", workspace.adversarial(resolution)
    index = Job(f"{name}-index", Call(finish, (tasks,)), folder, folder / "index.json")
    return Array(name, [Call(generate_shard, (task,)) for task in missing], folder, index)


if __name__ == "__main__":
    run(Options, main, __doc__)
