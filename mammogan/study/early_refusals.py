"""Refuses, before anything runs, what generate or evaluate would refuse only after all trainings: models from outside
that learned from other mammograms, and splits that mix phantoms with patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mammogan.attack.config import EvaluateConfig
from mammogan.attack.plan import find_checkpoint
from mammogan.data.inspect.population import population_of
from mammogan.data.shards.index import INDEX, ShardIndex
from mammogan.errors import UserError
from mammogan.evaluation.score_plan import find_cad
from mammogan.io.own_files import file_exists
from mammogan.study.stage import Stage
from mammogan.training.run.cad_source import cad_source
from mammogan.training.run.checkpoint_files import run_of, trained_on
from mammogan.workspace import Direction, Resolution, Workspace

OF_COMMAND = {"generate": "generation", "evaluate": "evaluation"}
"""By command, the field of its options with the settings that say which models it uses."""


def refuse_outside_models(stages: Sequence[Stage], workspace: Workspace, resolutions: Sequence[Resolution]) -> None:
    """Raise UserError if generate or evaluate would refuse a model that this study does not train: it learned from
    other mammograms, or nothing says from which, and the stage's settings do not allow it."""
    unknown: dict[str, dict[str, None]] = {}
    for stage in stages:
        settings: Any = getattr(stage.options, OF_COMMAND.get(stage.runs, ""), None)
        for resolution in _resolutions_of(settings, resolutions) if settings else ():
            for name, origin in _models_from_outside(settings, workspace, resolution):
                if origin is None and name not in settings.origin_unknown:
                    unknown.setdefault(stage.runs, {})[name] = None
                elif origin is not None and not settings.out_of_domain:
                    _refuse_other_mammograms(stage, name, origin, workspace, resolution)
    if unknown:
        named = ", ".join(dict.fromkeys(name for names in unknown.values() for name in names))
        lines = [f"  {section}: {{origin-unknown: [{', '.join(names)}]}}" for section, names in unknown.items()]
        raise UserError(
            f"{named} is of unknown origin: nothing says what it was trained on. To use it all the same, name it in "
            "the file of --config:\n" + "\n".join(lines)
        )


def refuse_mixed_split(evaluate: Stage, workspace: Workspace) -> None:
    """Raise UserError if the split of an evaluation mixes phantoms and mammograms of patients, and its settings do not
    pool them. It is not known of shards that are not made yet."""
    config = evaluate.options.evaluation
    for resolution in [] if config.pool else workspace.resolutions()[:1]:  # all have the same mammograms
        index = ShardIndex.load(workspace.shards(resolution))
        try:
            population_of(workspace, index, index.of_split(config.split)).refuse_mixed(config.split)
        except UserError as error:
            pooled = "In the file of --config that is\n  evaluate: {pool: true}"
            raise UserError(f"{evaluate.name}: {error}. {pooled}") from None


def _resolutions_of(settings: Any, all_resolutions: Sequence[Resolution]) -> Sequence[Resolution]:
    return [Resolution.parse(text) for text in settings.resolution] or all_resolutions


def _models_from_outside(
    settings: Any, workspace: Workspace, resolution: Resolution
) -> Iterator[tuple[str, str | None]]:
    """Yield the name of each model of a stage that this study does not train, and the fingerprint of the shards that it
    was trained on; None if nothing says it. Raise MissingInput if one is not there."""
    models = Workspace(settings.models or workspace.root)
    are_elsewhere = models.root.resolve() != workspace.root.resolve()
    if isinstance(settings, EvaluateConfig):
        uses_cad = bool(settings.cad) or are_elsewhere
    else:
        uses_cad = bool(settings.cad) and settings.tries > 1 and Direction.INSERT in settings.direction
        for direction in settings.direction if are_elsewhere else ():
            generator = find_checkpoint(models.of(settings.method), resolution, direction, settings.checkpoint)
            yield run_of(generator).path.name, trained_on(generator)
    if uses_cad:
        # The module of a factory (--cad) is not imported here.
        cad = cad_source(models, resolution, settings.cad) if settings.cad else find_cad(models, resolution)
        yield cad.name, cad.trained_on()


def _refuse_other_mammograms(
    stage: Stage, name: str, origin: str, workspace: Workspace, resolution: Resolution
) -> None:
    """Raise UserError if a model was trained on other shards than those of the workspace, or if these are not made yet,
    so that nothing says that they will be the same."""
    folder = workspace.shards(resolution)
    if file_exists(folder / INDEX):
        index = ShardIndex.load(folder)
        if index.added_since(origin) is not None:
            return
        theirs = f"its shards have the fingerprint {origin[:12]}, these {index.fingerprint[:12]}"
        why = f"was trained on other mammograms than those in {folder}: {theirs}"
    else:
        why = (
            f"was trained on shards with the fingerprint {origin[:12]}, and nothing says that those in {folder}, which "
            "are not made yet, will be the same. If they will, make them first with mammogan make-shards"
        )
    raise UserError(
        f"{name} {why}. {stage.name} would refuse it after all trainings. To use it on other mammograms, say in the "
        f'file of --config how they differ:\n  {stage.runs}: {{out-of-domain: "film, models from phantoms"}}'
    )
