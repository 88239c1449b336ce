"""Plan adversarial shards where their jobs are submitted: what the runs of the generators record is checked, and whole
checkpoints are read only by the tasks."""

from __future__ import annotations

from mammogan.attack.config import GenerateConfig
from mammogan.attack.domain_check import check_domain
from mammogan.attack.plan import plan_shards
from mammogan.attack.shard_task import ShardTask
from mammogan.data.shards.index import ShardIndex
from mammogan.training.run.checkpoint_files import run_of
from mammogan.training.run.preflight import check_class_of_run
from mammogan.workspace import Resolution, Workspace


def plan_to_submit(workspace: Workspace, resolution: Resolution, config: GenerateConfig) -> list[ShardTask]:
    """Return the tasks of ``plan_shards``. Where a run does not say what its generator was trained on, all generators
    are read at once, since the checkpoint may say it."""
    tasks = plan_shards(workspace, resolution, config)
    if config.factory or any(task.generator.shards_sha256 is None for task in tasks):
        from mammogan.attack.generate import plan  # imports torch

        return plan(workspace, resolution, config)
    for generator in {task.generator for task in tasks}:
        run = run_of(generator.path)
        run.check_result(generator.path, generator.sha256)
        check_class_of_run(run, "generator")
    if config.cad:
        choosing = {(task.choosing.cad.name, task.choosing.cad.trained_on()) for task in tasks if task.choosing.cad}
        index = ShardIndex.load(workspace.shards(resolution))
        check_domain(sorted(choosing, key=str), index, config.out_of_domain, config.origin_unknown)
    return tasks
