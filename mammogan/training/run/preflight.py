"""Checks, before a job is submitted, that all is there that a training needs, and that its settings can be used.

It imports nothing heavy.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mammogan.config import CLASSIFIER, GENERATOR, CadConfig, GanConfig
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import Digest, sha256
from mammogan.io.own_files import file_exists
from mammogan.io.shell import shell_word
from mammogan.io.terminal import say_on_stderr
from mammogan.training.run.cad_record import reading_of_run, refuse_weak
from mammogan.training.run.cad_source import CadSource, cad_source
from mammogan.training.run.checkpoint_files import choose_checkpoint
from mammogan.training.run.run_folder import Run
from mammogan.workspace import LABELS, OBJECTIVES, SPLITS, Direction, Resolution, Workspace


def choose_resolution(text: str, workspace: Workspace) -> Resolution:
    """Return the resolution ``text``; for 'auto' the highest that has shards (high when none has), with a note."""
    if text != "auto":
        return Resolution.parse(text)
    found = workspace.resolutions()
    chosen = found[0] if found else Resolution.parse("high")
    if len(found) > 1:
        say_on_stderr(f"--resolution {chosen}, the highest of those that have shards: {', '.join(map(str, found))}")
    elif found:
        say_on_stderr(f"--resolution {chosen}, the only one that has shards")
    return chosen


def check_cad_inputs(config: CadConfig, workspace: Workspace) -> None:
    """Raise MissingInput, with the command to run, if there are no shards.

    Raises UserError for shards that cannot be used, or if Vnet's weights cannot be loaded.
    """
    check_shards(Resolution.parse(config.resolution), workspace)
    check_vgg_weights(config)
    check_own_classes(classifier=config.classifier)


def check_own_classes(classifier: str = CLASSIFIER, generator: str = GENERATOR) -> None:
    """Raise UserError if a classifier or generator of your own cannot be imported here, or is none.

    Only then is its module imported, and torch with it.
    """
    if (classifier, generator) != (CLASSIFIER, GENERATOR):
        from mammogan.models.registry import classifier_class, generator_class

        classifier_class(classifier)
        generator_class(generator)


def check_class_of_run(run: Run, kind: Literal["classifier", "generator"]) -> None:
    """Raise UserError if a class of your own that a run's settings name is not that of its checkpoint, or cannot be
    imported here.

    The settings are text that anybody could have edited. They alone import nothing: the checkpoint must say the same,
    and be the one that the training ended with.
    """
    usual = {"classifier": CLASSIFIER, "generator": GENERATOR}[kind]
    if (named := run.settings.get(kind, usual)) == usual:
        return
    from mammogan.training.run.checkpoint import load

    checkpoint = choose_checkpoint(run.path)
    run.check_result(checkpoint)
    if (held := load(checkpoint).get("arch", usual)) != named:
        raise UserError(
            f"{run.path / 'config.yaml'} names the network {named}, but {checkpoint} holds {held}. Nothing was "
            "imported. Bring the right config.yaml back"
        )
    check_own_classes(**{kind: named})


def check_cad_class(cad: CadSource) -> None:
    """Raise UserError if a classifier's class or factory of your own cannot be imported here, before jobs are
    submitted."""
    if cad.run is not None:
        check_class_of_run(cad.run, "classifier")
        return
    from mammogan.models.own_cad import check_own_cad

    check_own_cad(cad.factory, begins_discriminator=False)


def as_learned(config: CadConfig) -> CadConfig:
    """Return the settings that the CAD's training follows.

    A random body is not frozen, because it would be a bank of random filters. Only the study's has pretrained weights.
    """
    if config.classifier != CLASSIFIER:
        config = replace(config, vgg_weights="none")
    is_random = config.vgg_weights == "none" and not config.start_from
    return replace(config, fnet_epochs=0) if is_random else config


def named_weights(config: CadConfig | GanConfig, digest: Digest = sha256) -> dict[str, str]:
    """Return the sha256 of the file of Vnet's weights if the settings name one: a path does not identify content."""
    if not isinstance(config, CadConfig) or not Path(config.vgg_weights).is_file():
        return {}
    return {"vgg_weights_sha256": digest(Path(config.vgg_weights))}


def refuse_other_settings(run: Path, config: CadConfig | GanConfig, digest: Digest = sha256) -> None:
    """Raise UserError when the run was begun with settings that lead to a different result than ``config``, or when it
    is finished and its result is gone, or is no run but an exported model."""
    Run(run).refuse_exported()
    if file_exists(run / "config.yaml"):
        Run(run).check(config, named_weights(config, digest))
        if Run(run).is_finished(config):
            Run(run).refuse_lost_result()


def refuse_leaving_gans(cad: Path, config: CadConfig, workspace: Workspace) -> None:
    """Raise UserError if training this CAD would change it while GANs exist that were begun against it."""
    size = Resolution.parse(config.resolution)
    runs = [workspace.of(objective).gan_run(size, direction) for objective in OBJECTIVES for direction in Direction]
    begun = [run for run in runs if file_exists(run / "config.yaml")]
    run = Run(cad)
    if begun and (not file_exists(run.done) or (file_exists(cad / "config.yaml") and not run.is_finished(config))):
        raise UserError(
            f"{cad.name} would be trained for {config.epochs} epochs, which changes it, and "
            f"{' and '.join(run.name for run in begun)} could not resume, because they use the CAD as it is now. "
            "Nothing was changed. Give the epochs that it has, give another --workspace, or remove first:\n"
            + "\n".join(f"  {run}" for run in begun)
        )


def check_gan_inputs(config: GanConfig, workspace: Workspace) -> None:
    """Raise MissingInput, with the command to run, if the shards or a finished CAD are missing.

    Raises UserError for a CAD that is known to read no better than chance.
    """
    resolution = Resolution.parse(config.resolution)
    check_shards(resolution, workspace)
    if config.cad:
        check_named_cad(config, workspace)
        return
    run = workspace.cad_run(resolution)
    if not file_exists(run / "done.json"):
        state = "has not finished" if file_exists(run / "config.yaml") else "is not there"
        raise MissingInput(
            f"the classifier for {resolution} {state} ({run}); run\n"
            f"  mammogan train-cad --workspace {shell_word(workspace.root)} --resolution {resolution}"
        )
    refuse_weak(reading_of_run(Run(run)), run, config.allow_weak_cad)
    check_class_of_run(Run(run), "classifier")
    check_own_classes(generator=config.generator)


def check_named_cad(config: GanConfig, workspace: Workspace) -> None:
    """Raise UserError if the CAD of --cad cannot be trained against, or is known to read no better than chance."""
    source = cad_source(workspace, Resolution.parse(config.resolution), config.cad)
    if source.run is not None:
        refuse_weak(reading_of_run(source.run), source.run.path, config.allow_weak_cad)
        check_class_of_run(source.run, "classifier")
        check_own_classes(generator=config.generator)
        return
    from mammogan.models.own_cad import check_own_cad  # imports torch, and the user's own code

    check_own_cad(source.factory, begins_discriminator=config.objective == "study")
    check_own_classes(generator=config.generator)


def check_remover(resolution: Resolution, workspace: Workspace) -> None:
    """Raise MissingInput, with the command to run, if the lesion objective's remover has not finished."""
    run = workspace.of("lesion").gan_run(resolution, Direction.REMOVE)
    if not file_exists(run / "done.json"):
        raise MissingInput(
            f"the lesion objective inserts lesions that its remover has removed, and {run} has not finished; run\n"
            f"  mammogan train-gan --workspace {shell_word(workspace.root)} --resolution {resolution} "
            "--objective lesion --direction remove"
        )


def check_shards(resolution: Resolution, workspace: Workspace) -> None:
    """Raise MissingInput, with the command to run, if the shards of this resolution are not complete.

    Raises UserError for shards that hold stored numbers, lack a class, or are damaged.
    """
    folder = workspace.shards(resolution)
    if not file_exists(folder / "index.json"):
        others = ", ".join(map(str, workspace.resolutions())) or "none"
        raise MissingInput(
            f"no shards at {resolution} in {folder} (there: {others}); run\n"
            f"  mammogan make-shards --cohort labels.csv --workspace {shell_word(workspace.root)} "
            f"--resolution {resolution}"
        )
    index = ShardIndex.load(folder)
    if index.settings.get("voi") == "none":
        raise UserError(
            f"the shards at {resolution} hold stored numbers (--voi none), which are for other programs: networks "
            "expect the full range of brightness. Make shards with --voi header, or linear_bits, in another --workspace"
        )
    check_classes(resolution, index.counts)
    if damaged := index.damaged():
        raise UserError(
            f"{len(damaged)} of the shards at {resolution} are missing or cut short, {damaged[0]} the first; run\n"
            f"  mammogan check-shards --workspace {shell_word(workspace.root)} --resolution {resolution}\n"
            "It says what to do"
        )


def refuse_grown(run: Run, shards: ShardIndex) -> None:
    """Raise UserError, which says what was added, if the cohort has grown since a run was started."""
    if added := shards.added_since(run.shards_sha256):
        in_split = Counter(s.split for s in shards.shards for a in added if s.name in a.shards for _ in s.samples)
        counts = ", ".join(f"{in_split[split]} in {split}" for split in SPLITS)
        raise UserError(
            f"{run.path}: its data have changed. Since it was started, {sum(a.mammograms for a in added)} mammograms "
            f"({counts}) and {sum(a.patients for a in added)} patients were added to {shards.folder}; the others and "
            "their splits are as they were. Its networks can still be used. To train with the added ones too, "
            "rename the folder of the run and repeat the command, which begins anew, or add --start-from with the new "
            "name, which begins with its weights"
        )


def check_classes(resolution: Resolution, counts: dict[str, dict[str, int]]) -> None:
    """Raise UserError if the train split lacks a class; ``counts`` are those of the index, by split and label."""
    empty = [label for label in LABELS if not counts["train"][label]]
    if empty:
        raise UserError(
            f"the shards at {resolution} hold no {' and no '.join(empty)} mammogram to train on; both classes are "
            "needed. Mend the label or split column of your table and run mammogan make-shards again with --overwrite"
        )


def check_vgg_weights(config: CadConfig) -> None:
    """Raise UserError if --vgg-weights names no file, or if ImageNet weights are requested at a width other than 1."""
    if config.vgg_weights == "none" or config.start_from:
        return
    if config.vgg_weights == "auto":
        if config.width != 1:
            raise UserError(
                f"ImageNet weights fit width 1 only, not {config.width}; --vgg-weights none starts from random ones"
            )
    elif not Path(config.vgg_weights).is_file():
        raise UserError(f"--vgg-weights {config.vgg_weights}: no such file; expected vgg11-8a719046.pth, auto, or none")
