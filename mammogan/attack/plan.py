"""Plan which adversarial shards there will be, and what decides their pixels. Nothing is loaded, so that a study is
planned and submitted where only the job's machine has what it takes to attack."""

from __future__ import annotations

from pathlib import Path

from mammogan.attack.config import GenerateConfig
from mammogan.attack.domain_check import check_domain
from mammogan.attack.insertion_choice import InsertionChoice
from mammogan.attack.shard_task import ShardTask
from mammogan.config import GENERATOR, LESION_GENERATORS
from mammogan.data.shards.index import IndexedShard, ShardIndex
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import Digest, sha256
from mammogan.io.own_files import file_exists
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say
from mammogan.training.run.cad_source import cad_source
from mammogan.training.run.checkpoint_files import CheckpointFacts, choose_checkpoint, run_of
from mammogan.workspace import Direction, Resolution, Workspace


def plan_shards(
    workspace: Workspace, resolution: Resolution, config: GenerateConfig, digest: Digest = sha256
) -> list[ShardTask]:
    """Return one task for each real shard of the requested splits and directions, with its generator pinned by sha256.

    Raise MissingInput, naming the command to run, if shards or a generator are missing.
    """
    models = _models(workspace, config)
    index = ShardIndex.load(workspace.shards(resolution))
    tasks = []
    for direction in config.direction:
        own = _shards_of(index, direction, config)
        if not own:
            say(f"{resolution}, {direction}: no {direction.source} mammograms in split {', '.join(config.split)}")
            continue
        cad = cad_source(models, resolution, config.cad)
        if config.factory:
            from mammogan.attack.methods import plan_own_attack  # imports the attack, whatever that needs

            generator, choosing = plan_own_attack(config.factory, direction, cad, config.attack_settings)
        else:
            generator = find_generator(models, resolution, direction, config.checkpoint, digest)
            choosing = InsertionChoice.of(generator, config.tries, config.seed, cad, digest)
        if generator.shards_sha256 is not None:  # else its checkpoint may say it, which generate reads
            check_domain([(generator.run, generator.shards_sha256)], index, config.out_of_domain)
        tasks += [
            ShardTask(
                workspace=workspace,
                resolution=resolution,
                direction=direction,
                split=shard.split,
                source=shard.name,
                source_sha256=shard.sha256,
                count=shard.count,
                generator=generator,
                out_of_domain=config.out_of_domain,
                batch=config.batch,
                device=config.device,
                background=config.background,
                choosing=choosing,
            )
            for shard in own
        ]
    return tasks


def resolutions(workspace: Workspace, config: GenerateConfig) -> list[Resolution]:
    """Return the requested resolutions, or all with shards and generators. Raise MissingInput if there are none."""
    found = [Resolution.parse(text) for text in config.resolution] or _with_generators(workspace, config)
    if not found:
        raise MissingInput(
            f"no shards in {workspace.root / 'shards'}; run\n"
            f"  mammogan make-shards --cohort labels.csv --workspace {shell_word(workspace.root)}"
        )
    if config.checkpoint not in ("best", "newest") and len(found) > 1:
        names = ", ".join(map(str, found))
        raise UserError(f"--checkpoint {config.checkpoint} is one generator's file: name one --resolution of {names}")
    return found


def _with_generators(workspace: Workspace, config: GenerateConfig) -> list[Resolution]:
    """Return the resolutions that have a generator, reporting those that have only shards; all if none has a
    generator."""
    models, there = _models(workspace, config), workspace.resolutions()
    if config.factory:
        classified = [r for r in there if cad_source(models, r, config.cad).is_there]
        for left_out in set(there) - set(classified) if classified else ():
            say(f"{left_out}: left out, since no CAD is there (mammogan train-cad --resolution {left_out})")
        return classified or there
    trained = [r for r in there if any(models.gan_run(r, d).is_dir() for d in config.direction)]
    for left_out in set(there) - set(trained) if trained else ():
        say(f"{left_out}: left out, since no generators are there (mammogan train-gan --resolution {left_out})")
    return trained or there


def _models(workspace: Workspace, config: GenerateConfig) -> Workspace:
    """Return the workspace whose runs/ hold the generators, or the CAD that an attack of your own is given."""
    return Workspace(config.models, config.objective) if config.models else workspace


def _shards_of(index: ShardIndex, direction: Direction, config: GenerateConfig) -> list[IndexedShard]:
    """Return the real shards that are requested for a direction; of training the first ``config.train_shards``."""
    most = {"train": config.train_shards or None}
    by_split = {s: [shard for shard in index.of_split(s) if shard.label == direction.source] for s in config.split}
    return [shard for split, shards in by_split.items() for shard in shards[: most.get(split)]]


def find_generator(
    models: Workspace, resolution: Resolution, direction: Direction, which: str = "best", digest: Digest = sha256
) -> CheckpointFacts:
    """Find the generator of a direction, without reading it unless its file was named. Raise MissingInput if there is
    none."""
    path = find_checkpoint(models, resolution, direction, which)
    arch = {"study": GENERATOR, "lesion": LESION_GENERATORS[direction is Direction.INSERT]}[models.objective]
    found = CheckpointFacts(path, digest(path), shards_sha256=run_of(path).shards_sha256, arch=arch)
    if which in ("best", "newest"):
        return found
    from mammogan.attack.generator_check import read_checked  # any file may be named

    return read_checked(found, direction, named=True)


def find_checkpoint(models: Workspace, resolution: Resolution, direction: Direction, which: str) -> Path:
    """Return the checkpoint of a direction's generator: its best or newest, or the one that is named. Raise
    MissingInput, naming the command to run, if there is none."""
    run = models.gan_run(resolution, direction)
    path = choose_checkpoint(run, which)
    if not file_exists(path):
        if which not in ("best", "newest"):
            raise MissingInput(f"no checkpoint {path}; train first, or name another")
        objective = "" if models.objective == "study" else f" --objective {models.objective}"
        raise MissingInput(
            f"no generator ({direction}) for {resolution} in {run}; run\n"
            f"  mammogan train-gan --workspace {shell_word(models.root)} --resolution {resolution} "
            f"--direction {direction}{objective}\n"
            "or name with --models the workspace whose generators are to be used"
        )
    return path
