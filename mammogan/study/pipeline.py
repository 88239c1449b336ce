"""Builds the stages of a study: shards, then per resolution a CAD, two GANs and adversarial mammograms, then
evaluation.

Each stage runs one command of ``mammogan``, so that you can also do everything manually, one command after the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Literal

from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.data.cohort.table import refuse_folder
from mammogan.errors import SOME_LEFT_OUT, UserError
from mammogan.io.atomic import Digest, file_version
from mammogan.io.hashes import Hashes
from mammogan.io.options import values_of
from mammogan.io.own_files import file_exists
from mammogan.io.structure import Values, keys, merged, structured, unchecked_defaults
from mammogan.study.commands import StudyCommand
from mammogan.study.early_refusals import refuse_outside_models
from mammogan.study.outdated import requested
from mammogan.study.settings import COMMANDS, of_objective, settings_for
from mammogan.study.shares import ExpectedShards
from mammogan.study.stage import Stage, why_again
from mammogan.study.stage_files import StageFiles, evaluation, shards_files, stages_of_resolution
from mammogan.workspace import Objective, Resolution, Workspace

FOR_READING: Values = {"split": ["test", "validation", "train"], "allow-train": True, "train-shards": 1}
"""What mammogan draw-reading needs of mammogan generate. The report stays that of the test split."""


@dataclass(frozen=True)
class StudyPlan:
    """What the study is about and how its stages run; ``stages()`` returns the graph."""

    workspace: Workspace
    resolutions: tuple[Resolution, ...]
    cohort: Path | None
    sections: dict[str, Values]
    """Options of the stages by section: shards, cad, gan, generate, evaluate."""
    cluster: ClusterConfig
    where: Literal["none", "local", "slurm"]
    """Where the stages run."""
    objectives: tuple[Objective, ...] = ("study",)
    reading: bool = False
    """Whether the first objective's adversarial mammograms are made for a reader study too (FOR_READING)."""
    cad: str = ""
    """The classifier to fool (--cad); empty: the study trains one for each resolution."""

    @cached_property
    def hashes(self) -> Hashes:
        """The hashes of the files that stages read."""
        return Hashes(self.workspace.root / "study" / "hashes.json")

    def stages(self) -> list[Stage]:
        """Return the graph. Every stage has its options, so that a mistake in a section shows before anything runs."""
        stages = [shards := self.shards_stage()]
        expected = self._expected(shards)
        for resolution in self.resolutions:
            [_, cad, *others] = stages_of_resolution(self.workspace, resolution, self.objectives)
            others = [self._without(cad, files) for files in others] if self.cad else [cad, *others]
            stages += [self._of_resolution(files, resolution, expected) for files in others]
        evaluations = self._evaluations([stage for stage in stages if stage.runs == "generate"], expected)
        stages += evaluations
        refuse_outside_models(stages, self.workspace, self.resolutions)
        return stages

    def _without(self, cad: StageFiles, files: StageFiles) -> StageFiles:
        """Return a stage that needs the shards alone where it needed the study's own CAD."""
        return dataclasses.replace(files, needs=tuple("shards" if n == cad.name else n for n in files.needs))

    def shards_stage(self) -> Stage:
        """Return the stage that makes the shards of all resolutions."""
        if self.cohort:
            refuse_folder(self.cohort)
        of_each = [shards_files(self.workspace, resolution) for resolution in self.resolutions]
        missing = [files.resolution for files in of_each if not file_exists(files.complete)]
        if missing and not self.cohort:
            raise UserError(
                f"no shards at {', '.join(map(str, missing))} in {self.workspace.root}: give --cohort labels.csv, the "
                "table of the mammograms (mammogan make-phantom --out phantom makes one of phantoms)"
            )
        own = {"cohort": self.cohort or "labels.csv", "resolution": [*map(str, self.resolutions)]}
        of_all = dataclasses.replace(of_each[0], name="shards", resolution=None)
        stage = self._stage(of_all, own, tuple(files.complete for files in of_each))
        # Without a table shards cannot be made again, so existing ones are used with any settings.
        return dataclasses.replace(
            stage, success_codes=(0, SOME_LEFT_OUT), outdated=stage.outdated if self.cohort else None
        )

    def _expected(self, shards: Stage) -> ExpectedShards:
        """Return the shards that will exist when all other stages begin."""
        index_of = dict(zip(self.resolutions, shards.makes, strict=True))
        there = {r for r, index in index_of.items() if not why_again(dataclasses.replace(shards, makes=(index,)), ())}
        return ExpectedShards(self.workspace, self.cohort, shards.options, there)

    def _of_resolution(self, files: StageFiles, resolution: Resolution, expected: ExpectedShards) -> Stage:
        """Return a training, or the stage that writes the adversarial mammograms of one objective."""
        own: Values = {"resolution": str(resolution)}
        if files.kind != "cad":
            own["objective"] = files.objective
        if files.kind == "generate" and self.reading and files.objective == self.objectives[0]:
            own |= FOR_READING
        if self.cad and (files.kind == "gan" or files.objective == "lesion"):
            own["cad"] = self.cad
        if files.direction:
            own["direction"] = str(files.direction)
        stage = self._stage(files, own)
        if files.kind == "cad":
            return dataclasses.replace(stage, reads=(self.workspace.shards(resolution) / "index.json",))
        if files.kind == "gan":
            return stage
        shards = partial(self._to_alter, stage, resolution, expected)
        return self._as_array(stage, "index", shards, known=resolution in expected.there)

    def _as_array(self, stage: Stage, last: str, names: Callable[[], Sequence[str]], known: bool) -> Stage:
        """Return the stage with one task per shard on SLURM, if there is more than one; elsewhere shards are not
        counted.

        Tasks have the names of their shards where these are ``known``, else numbers.
        """
        shards = list(names()) if self.where == "slurm" else []
        if len(shards) < 2:
            return stage
        numbered = [f"share {number} of {len(shards)}" for number in range(1, len(shards) + 1)]
        return dataclasses.replace(stage, shards=tuple(shards if known else numbered), last=last)

    def _to_alter(self, generate: Stage, resolution: Resolution, expected: ExpectedShards) -> list[str]:
        """Return the shards that are made side by side, in the order of mammogan generate.

        There are none with --blinded: there one process writes all files, since it draws their names.
        """
        options, made = generate.options, []
        for direction in [] if options.export.blinded else options.generation.direction:
            for split in options.generation.split:
                most = options.generation.train_shards or None if split == "train" else None
                numbers = [number for *of, number in expected.of(resolution) if of == [split, direction.source]]
                made += [f"{split}-{direction}-{number}.tar" for number in numbers[:most]]
        return made

    def _evaluations(self, generated: Sequence[Stage], expected: ExpectedShards) -> list[Stage]:
        """Return one stage for each split with adversarial mammograms, or for the requested one; each has its own
        report."""
        splits: dict[str, tuple[str, ...]] = {stage.name: stage.options.generation.split for stage in generated}
        altered = list(dict.fromkeys(split for found in splits.values() for split in found))
        wanted = self.sections.get("evaluate", {}).get("split")
        if wanted and wanted not in altered:
            raise UserError(
                f"evaluate: split {wanted}: this study makes adversarial mammograms of {', '.join(altered)} only; name "
                f"one of these, or add {wanted} with generate: {{split: [{', '.join(altered)}, {wanted}]}}"
            )
        chosen = [wanted] if wanted else ["test"] if self.reading else altered
        stages = []
        for split in chosen:
            needs = tuple(name for name, found in splits.items() if split in found)
            files = dataclasses.replace(evaluation(self.workspace, split, ()), needs=needs)
            own: Values = {} if "objective" in self.sections.get("evaluate", {}) else {"objective": [*self.objectives]}
            own |= {"cad": self.cad} if self.cad else {}
            stages.append(self._scored_as_array(self._stage(files, {"split": split, **own}), split, expected))
        return stages

    def _scored_as_array(self, evaluate: Stage, split: str, expected: ExpectedShards) -> Stage:
        """Return the stage with one task per shard: of the requested resolutions, else of all attacked ones, highest
        first."""
        config = evaluate.options.evaluation
        wanted, objectives = [Resolution.parse(text) for text in config.resolution], config.objective
        sizes = wanted or sorted(self.resolutions, reverse=True)
        altered = {size for size in self.workspace.resolutions() if any(map(file_exists, self._all_altered(size)))}
        known = expected.there >= set(sizes) and (bool(wanted) or altered <= set(sizes))

        def names() -> list[str]:
            return [
                f"{size}{self.workspace.of(objective).suffix}/{'-'.join(shard)}.tar"
                for objective in objectives
                for size in sizes
                for shard in expected.of(size)
                if shard[0] == split
            ]

        reads = tuple(path for size in wanted for path in self._all_altered(size)) if wanted else None
        return self._as_array(dataclasses.replace(evaluate, reads=reads), "report", names, known)

    def _all_altered(self, resolution: Resolution) -> list[Path]:
        return [self.workspace.of(o).adversarial(resolution) / "index.json" for o in self.objectives]

    def _stage(self, files: StageFiles, own: Values, makes: tuple[Path, ...] = ()) -> Stage:
        """Return a stage whose options are its section's settings with the study's ``own`` values over them.

        ``makes``: the files that exist once it is done, if these are more than one.
        """
        command, makes = StudyCommand.load(COMMANDS[files.kind]), makes or (files.complete,)
        settings, requests = self._settings(files)
        cluster = structured(self.cluster, requests, files.kind)
        values = merged(settings, {"workspace": self.workspace.root, **own})
        options: Any = structured(unchecked_defaults(command.options, None), values, files.kind)
        if "cluster" in keys(command.options):
            options = dataclasses.replace(options, cluster=self._here(cluster))
        outdated = partial(_outdated, command, options, self.hashes.of)
        return Stage(
            name=files.name,
            command=command.words(options),
            needs=files.needs,
            makes=makes,
            outdated=_once_until_changed(outdated, (*makes, self.workspace.cohort)),
            gpus=int(files.kind in ("generate", "evaluate")),
            cluster=cluster,
            options=options,
            requested=requested(options, self.hashes.of),
            runs=command.name,
            recorded=files.records,
        )

    def _here(self, cluster: ClusterConfig) -> ClusterConfig:
        """Return the cluster options of the stage's own process: on SLURM it is in its job already."""
        where: Literal["none", "local"] = "local" if self.where == "local" else "none"
        return ClusterConfig(cluster=where, gpus_per_node=cluster.gpus_per_node, cpu_ranks=cluster.cpu_ranks)

    def _settings(self, files: StageFiles) -> tuple[Values, Values]:
        """Return the section's settings for this stage, those of its --config included, and its requests to the
        cluster."""
        settings = settings_for(self.sections.get(files.kind, {}), files.resolution, files.direction)
        if files.kind == "gan":
            settings = of_objective(settings, files.objective)
        requests = {key: value for key, value in settings.items() if key in keys(ClusterConfig)}
        own = {key: value for key, value in settings.items() if key not in requests}
        file = own.pop("config", "")
        return merged(values_of(Path(file)), own) if file else own, requests


def _outdated(command: StudyCommand, options: Any, digest: Digest) -> str:
    """Return why a stage's results are not those that are requested; what its command would refuse is such a reason."""
    try:
        return command.outdated(options, digest)
    except (UserError, OSError) as error:
        return str(error).splitlines()[0]


def _once_until_changed(outdated: Callable[[], str], files: Sequence[Path]) -> Callable[[], str]:
    """Return the same function, which works again only after one of these files, made by stages, has changed."""

    @cache
    def known(versions: tuple[tuple[int, ...], ...]) -> str:
        return outdated()

    return lambda: known(tuple(map(file_version, files)))
