"""Builds the stages of a study: shards, then per resolution a CAD, two GANs and adversarial mammograms, then
evaluation.

Each stage runs one command of ``mammogan``, so that you can also do everything manually, one command after the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mammogan.attack.config import report_folder
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.slurm.submission_record import folders_of_evaluate, folders_of_generate
from mammogan.cluster.tasks import TrainCad, TrainGan
from mammogan.data.cohort.table import refuse_folder
from mammogan.errors import SOME_LEFT_OUT, UserError
from mammogan.io.options import values_of
from mammogan.io.structure import Values, keys, merged, structured, unset, words_of
from mammogan.study.commands import StudyCommand
from mammogan.study.fingerprints import by_content, file_by_content
from mammogan.study.settings import COMMANDS, Settings, of_objective, settings_for
from mammogan.study.shares import ExpectedShards
from mammogan.study.stage import Stage, why_again
from mammogan.study.stage_jobs import would_continue
from mammogan.workspace import Direction, Objective, Resolution, Workspace

FOR_READING: Values = {"split": ["test", "validation", "train"], "allow-train": True, "train-shards": 1}
"""What mammogan draw-reading needs of mammogan generate. The report stays that of the test split."""


@dataclass(frozen=True)
class StudyPlan:
    """What the study is about and how its stages run; ``stages()`` returns the graph."""

    workspace: Workspace
    resolutions: tuple[Resolution, ...]
    cohort: Path | None
    sections: dict[str, Settings]
    """Options of the stages by section: shards, cad, gan, generate, evaluate."""
    cluster: ClusterConfig
    where: Literal["none", "local", "slurm"]
    """Where the stages run."""
    objectives: tuple[Objective, ...] = ("study",)
    reading: bool = False
    """Whether the first objective's adversarial mammograms are made for a reader study too (FOR_READING)."""

    def stages(self) -> list[Stage]:
        """Return the graph. Every stage has its options, so that a mistake in a section shows before anything runs."""
        stages = [shards := self._shards()]
        expected = self._expected(shards)
        for resolution in self.resolutions:
            stages += self._of(resolution, expected)
        generated = [stage for stage in stages if stage.name.startswith("generate-")]
        return [*stages, *self._evaluations(generated, expected)]

    def _shards(self) -> Stage:
        if self.cohort:
            refuse_folder(self.cohort)
        makes = {r: self.workspace.shards(r) / "index.json" for r in self.resolutions}
        missing = [r for r in self.resolutions if not makes[r].exists()]
        if missing and not self.cohort:
            raise UserError(
                f"no shards at {', '.join(map(str, missing))} in {self.workspace.root}: give --cohort labels.csv, the "
                "table of the mammograms (mammogan make-phantom --out phantom makes one of phantoms)"
            )
        own = {"cohort": self.cohort or "labels.csv", "resolution": [*map(str, self.resolutions)]}
        stage = self._stage("shards", "shards", own, (), tuple(makes.values()))
        # Without a table shards cannot be made again, so existing ones are used with any settings.
        return dataclasses.replace(stage, fine=(0, SOME_LEFT_OUT), asks=stage.asks if self.cohort else ())

    def _expected(self, shards: Stage) -> ExpectedShards:
        """Return the shards that will exist when all other stages begin."""
        index_of = {r: self.workspace.shards(r) / "index.json" for r in self.resolutions}
        alone = {r: dataclasses.replace(shards, makes=(index,)) for r, index in index_of.items()}
        there = {r for r, stage in alone.items() if not why_again(stage, (), self.workspace.root / "study")}
        return ExpectedShards(self.workspace, self.cohort, shards.options, there)

    def _of(self, resolution: Resolution, expected: ExpectedShards) -> list[Stage]:
        cad, own = f"cad-{resolution}", {"resolution": str(resolution)}
        run = self.workspace.cad_run(resolution) / "done.json"
        classify = self._stage(cad, "cad", own, ("shards",), (run,), resolution)
        attacks = [self._attack(resolution, objective, expected) for objective in self.objectives]
        return [
            dataclasses.replace(classify, reads=(self.workspace.shards(resolution) / "index.json",)),
            *(stage for gans, _ in attacks for stage in gans),
            *(generate for _, generate in attacks),
        ]

    def _attack(
        self, resolution: Resolution, objective: Objective, expected: ExpectedShards
    ) -> tuple[list[Stage], Stage]:
        """Return the trainings of one objective's generators, and the stage that writes their adversarial
        mammograms."""
        workspace = self.workspace.of(objective)
        gans = [self._gan(resolution, direction, workspace) for direction in Direction]
        own: Values = {"resolution": str(resolution), "objective": objective}
        if self.reading and objective == self.objectives[0]:
            own |= FOR_READING
        needs, made = tuple(gan.name for gan in gans), (self._altered(resolution, objective),)
        name = f"generate-{resolution}{workspace.suffix}"
        generate = self._stage(name, "generate", own, needs, made, resolution)
        generate = dataclasses.replace(generate, recorded=folders_of_generate(workspace, resolution))
        shards = partial(self._to_alter, generate, resolution, expected)
        return gans, self._as_array(generate, "index", shards, known=resolution in expected.there)

    def _as_array(self, stage: Stage, last: str, names: Callable[[], Sequence[str]], known: bool) -> Stage:
        """Return the stage with one task per shard on SLURM, if there is more than one; elsewhere shards are not
        counted.

        Tasks have the names of their shards where these are ``known``, else numbers.
        """
        shards = list(names()) if self.where == "slurm" else []
        told = shards if known else [f"share {number} of {len(shards)}" for number in range(1, len(shards) + 1)]
        return dataclasses.replace(stage, shards=tuple(told), last=last) if len(shards) > 1 else stage

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

    def _gan(self, resolution: Resolution, direction: Direction, workspace: Workspace) -> Stage:
        """Return one training. The lesion objective inserts what its remover has removed, so removal comes first."""
        own = {"resolution": str(resolution), "direction": str(direction), "objective": workspace.objective}
        run, needs = workspace.gan_run(resolution, direction), [f"cad-{resolution}"]
        if workspace.objective == "lesion" and direction is Direction.INSERT:
            needs.append(workspace.gan_run(resolution, Direction.REMOVE).name)
        return self._stage(run.name, "gan", own, tuple(needs), (run / "done.json",), resolution, direction)

    def _evaluations(self, generated: Sequence[Stage], expected: ExpectedShards) -> list[Stage]:
        """Return one stage for each split with adversarial mammograms, or for the requested one; each has its own
        report."""
        splits: dict[str, tuple[str, ...]] = {stage.name: stage.options.generation.split for stage in generated}
        altered = list(dict.fromkeys(split for found in splits.values() for split in found))
        asked = self.sections.get("evaluate", {}).get("split")
        if asked and asked not in altered:
            raise UserError(
                f"evaluate: split {asked}: this study makes adversarial mammograms of {', '.join(altered)} only; name "
                f"one of these, or add {asked} with generate: {{split: [{', '.join(altered)}, {asked}]}}"
            )
        chosen = [asked] if asked else ["test"] if self.reading else altered
        stages = []
        for split in chosen:
            needs = tuple(name for name, found in splits.items() if split in found)
            made = report_folder(self.workspace, split) / "done.json"
            name = "evaluate" if len(chosen) == 1 else f"evaluate-{split}"
            own = {} if "objective" in self.sections.get("evaluate", {}) else {"objective": [*self.objectives]}
            stage = self._stage(name, "evaluate", {"split": split, **own}, needs, (made,))
            stage = dataclasses.replace(stage, recorded=folders_of_evaluate(self.workspace, split))
            stages.append(self._scored_as_array(stage, split, expected))
        return stages

    def _scored_as_array(self, evaluate: Stage, split: str, expected: ExpectedShards) -> Stage:
        """Return the stage with one task per shard: of the requested resolutions, else of all attacked ones, highest
        first."""
        config = evaluate.options.evaluation
        asked, objectives = [Resolution.parse(text) for text in config.resolution], config.objective
        sizes = asked or sorted(self.resolutions, reverse=True)
        altered = {size for size in self.workspace.resolutions() if any(map(Path.is_file, self._all_altered(size)))}
        known = expected.there >= set(sizes) and (bool(asked) or altered <= set(sizes))

        def names() -> list[str]:
            shards = [(size, *shard) for size in sizes for shard in expected.of(size) if shard[0] == split]
            return [
                f"{size}{self.workspace.of(objective).suffix}/{'-'.join(shard)}.tar"
                for objective in objectives
                for size, *shard in shards
            ]

        reads = tuple(path for size in asked for path in self._all_altered(size)) if asked else None
        return self._as_array(dataclasses.replace(evaluate, reads=reads), "report", names, known)

    def _altered(self, resolution: Resolution, objective: Objective) -> Path:
        return self.workspace.of(objective).adversarial(resolution) / "index.json"

    def _all_altered(self, resolution: Resolution) -> list[Path]:
        return [self._altered(resolution, objective) for objective in self.objectives]

    def _stage(
        self,
        name: str,
        section: str,
        own: Values,
        needs: tuple[str, ...],
        makes: tuple[Path, ...],
        resolution: Resolution | None = None,
        direction: Direction | None = None,
    ) -> Stage:
        """Return a stage whose options are the section's settings with the study's ``own`` values over them.

        The stage's record of the request (``asks``) leaves out the interpreter, the folders and where the stage runs,
        since they change nothing that is made.
        """
        command = StudyCommand.load(COMMANDS[section])
        settings, requests = self._settings(section, resolution, direction, own.get("objective", "study"))
        cluster = structured(self.cluster, requests, section)
        values = merged(settings, {"workspace": self.workspace.root, **own})
        options: Any = structured(unset(command.options, None), values, section)
        if "cluster" in keys(command.options):
            options = dataclasses.replace(options, cluster=self._here(cluster))
        would_do_more = None
        if command.jobs:
            [job] = command.jobs(options)
            if isinstance(job.task, TrainCad | TrainGan):
                would_do_more = partial(would_continue, job.folder, job.task.config)
        return Stage(
            name=name,
            command=command.words(options),
            needs=needs,
            makes=makes,
            asks=self._asks(command, section, options),
            would_do_more=would_do_more,
            gpus=int(section in ("generate", "evaluate")),
            cluster=cluster,
            options=options,
            runs=command.name,
        )

    def _here(self, cluster: ClusterConfig) -> ClusterConfig:
        """Return the cluster options of the stage's own process: on SLURM it is in its job already."""
        where: Literal["none", "local"] = "local" if self.where == "local" else "none"
        return ClusterConfig(cluster=where, gpus_per_node=cluster.gpus_per_node, cpu_ranks=cluster.cpu_ranks)

    def _asks(self, command: StudyCommand, section: str, options: Any) -> tuple[str, ...]:
        """Return the part of a stage's request that decides what is made."""
        decisive = dataclasses.replace(options, workspace=Workspace(Path("work")).root)
        if "cluster" in keys(command.options):
            decisive = dataclasses.replace(decisive, cluster=ClusterConfig())
        if section == "shards":
            decisive = dataclasses.replace(decisive, cohort=file_by_content(str(self.cohort)))
        words = words_of(decisive, ("cohort", "resolution"))
        return (command.name, *by_content(words, partial(self._used_models, section, options)))

    def _used_models(self, section: str, options: Any) -> list[Path]:
        """Return the checkpoints that a stage takes from another workspace (--models).

        Empty when it is this workspace, whose models the study makes itself.
        """
        from mammogan.training.run.trained_networks import choose_checkpoint

        config = options.generation if section == "generate" else options.evaluation
        if config.models.resolve() == self.workspace.root.resolve():
            return []
        models = Workspace(config.models, config.objective if section == "generate" else "study")
        sizes = [Resolution.parse(text) for text in config.resolution]
        if section == "generate":
            runs = [models.gan_run(size, direction) for size in sizes for direction in config.direction]
            found = [choose_checkpoint(run, config.checkpoint) for run in runs]
            if config.objective == "lesion" and config.tries > 1:  # a CAD chooses what is inserted
                found += [choose_checkpoint(models.cad_run(size)) for size in sizes]
        else:
            found = [choose_checkpoint(models.cad_run(size)) for size in sizes or self.resolutions]
        return [path for path in found if path.is_file()]

    def _settings(
        self, section: str, resolution: Resolution | None, direction: Direction | None, objective: Objective
    ) -> tuple[Settings, Settings]:
        """Return the section's settings for this stage, those of its --config included, and its requests to the
        cluster."""
        settings = settings_for(self.sections.get(section, {}), resolution, direction)
        if section == "gan":
            settings = of_objective(settings, objective)
        requests = {key: value for key, value in settings.items() if key in keys(ClusterConfig)}
        own = {key: value for key, value in settings.items() if key not in requests}
        file = own.pop("config", "")
        return merged(values_of(Path(file)), own) if file else own, requests
