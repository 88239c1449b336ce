"""The study's line of stages: shards, then per resolution a CAD, two GANs and altered mammograms, then the evaluation.

Each stage is a call of its front door, so that what the study does can be done by hand, one command after the other.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from mammogan.attack.settings import report_folder
from mammogan.cluster.contents import by_content, file_by_content
from mammogan.cluster.front_door import FrontDoor
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.records import of_altering, of_scoring
from mammogan.cluster.shares import ExpectedShards
from mammogan.cluster.stage_jobs import goes_on_by_itself
from mammogan.cluster.study import Stage, why_again
from mammogan.cluster.tasks import TrainCad, TrainGan
from mammogan.command_line import keys, parse, read_yaml, words_of
from mammogan.config import OF_BOTH_OBJECTIVES, Direction, Objective, Resolution, UserError, Workspace
from mammogan.data.table import refuse_folder

DOORS = {
    "shards": "shards/make_shards.py",
    "cad": "launch/train_cad.py",
    "gan": "launch/train_gan.py",
    "generate": "launch/generate.py",
    "evaluate": "launch/evaluate.py",
}
SOME_LEFT_OUT = 3
"""Exit code of make_shards.py when unreadable files were left out, each named: the line goes on with the others."""
Settings = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """What the study is about and how its stages run; ``stages()`` is the graph."""

    root: Path
    """The checkout, where launch/ and shards/ are."""
    workspace: Workspace
    resolutions: tuple[Resolution, ...]
    cohort: Path | None
    sections: dict[str, Settings]
    """Options of the stages by section: shards, cad, gan, generate, evaluate."""
    cluster: ClusterConfig
    where: Literal["none", "local", "slurm"]
    objectives: tuple[Objective, ...] = ("study",)

    def stages(self) -> list[Stage]:
        """The graph; every stage's command line has been parsed, so a mistake shows before anything runs."""
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
                "table of the mammograms (python shards/make_phantom.py --out phantom makes one of phantoms)"
            )
        words = ["--cohort", str(self.cohort or "labels.csv"), "--resolution", *map(str, self.resolutions)]
        stage = self._stage(
            "shards", "shards", words, (), tuple(makes.values()), kept=["--cohort", file_by_content(str(self.cohort))]
        )
        # Without a table nothing can be made anew, so whatever shards are there will do.
        return dataclasses.replace(stage, fine=(0, SOME_LEFT_OUT), asks=stage.asks if self.cohort else ())

    def _expected(self, shards: Stage) -> ExpectedShards:
        """The shards that are there when all others begin."""
        index_of = {r: self.workspace.shards(r) / "index.json" for r in self.resolutions}
        alone = {r: dataclasses.replace(shards, makes=(index,)) for r, index in index_of.items()}
        there = {r for r, stage in alone.items() if not why_again(stage, (), self.workspace.root / "study")}
        return ExpectedShards(self.workspace, self.cohort, self._parsed(shards, "shards"), there)

    def _of(self, resolution: Resolution, expected: ExpectedShards) -> list[Stage]:
        cad, words = f"cad-{resolution}", ["--resolution", str(resolution)]
        run = self.workspace.cad_run(resolution) / "done.json"
        classify = self._stage(cad, "cad", words, ("shards",), (run,), resolution)
        attacks = [self._attack(resolution, objective, expected) for objective in self.objectives]
        return [
            dataclasses.replace(classify, reads=(self.workspace.shards(resolution) / "index.json",)),
            *(stage for gans, _ in attacks for stage in gans),
            *(generate for _, generate in attacks),
        ]

    def _attack(
        self, resolution: Resolution, objective: Objective, expected: ExpectedShards
    ) -> tuple[list[Stage], Stage]:
        """The trainings of one objective's generators, and what writes their adversarial mammograms."""
        workspace = self.workspace.of(objective)
        gans = [self._gan(resolution, direction, workspace) for direction in Direction]
        words = ["--resolution", str(resolution), *_words_of_objective(objective)]
        needs, made = tuple(gan.name for gan in gans), (self._altered(resolution, objective),)
        name = f"generate-{resolution}{workspace.suffix}"
        generate = self._stage(name, "generate", words, needs, made, resolution)
        generate = dataclasses.replace(generate, recorded=of_altering(workspace, resolution))
        shards = partial(self._to_alter, generate, resolution, expected)
        return gans, self._as_array(generate, "index", shards, known=resolution in expected.there)

    def _as_array(self, stage: Stage, last: str, names: Callable[[], Sequence[str]], known: bool) -> Stage:
        """One task a shard, on SLURM alone, where only shards are counted; by name where these are ``known``."""
        shards = list(names()) if self.where == "slurm" else []
        told = shards if known else [f"share {number} of {len(shards)}" for number in range(1, len(shards) + 1)]
        return dataclasses.replace(stage, shards=tuple(told), last=last) if len(shards) > 1 else stage

    def _to_alter(self, generate: Stage, resolution: Resolution, expected: ExpectedShards) -> list[str]:
        """Shards that are altered side by side, in the order of launch/generate.py; none of a blinded study, whose
        files are written by one process, which draws their names."""
        asked = self._parsed(generate, "generate")
        return [
            f"{split}-{direction}-{number}.tar"
            for direction in ([] if asked.export.blinded else asked.generation.direction)
            for wanted in asked.generation.split
            for split, label, number in expected.of(resolution)
            if (split, label) == (wanted, direction.source)
        ]

    def _gan(self, resolution: Resolution, direction: Direction, workspace: Workspace) -> Stage:
        """The lesion objective inserts what its remover has removed, so that has to come first."""
        objective = _words_of_objective(workspace.objective)
        words = ["--resolution", str(resolution), "--direction", str(direction), *objective]
        run, needs = workspace.gan_run(resolution, direction), [f"cad-{resolution}"]
        if objective and direction is Direction.INSERT:
            needs.append(workspace.gan_run(resolution, Direction.REMOVE).name)
        return self._stage(run.name, "gan", words, tuple(needs), (run / "done.json",), resolution, direction)

    def _evaluations(self, generated: Sequence[Stage], expected: ExpectedShards) -> list[Stage]:
        """One for each split whose mammograms are altered, or the one that is asked for; each has its own report."""
        splits = {stage.name: self._splits(stage) for stage in generated}
        altered = list(dict.fromkeys(split for found in splits.values() for split in found))
        asked = self.sections.get("evaluate", {}).get("split")
        if asked and asked not in altered:
            raise UserError(
                f"evaluate: split {asked}: this study alters {', '.join(altered)}; name one of these, or have it "
                f"altered too with generate: {{split: [{', '.join(altered)}, {asked}]}}"
            )
        chosen = [asked] if asked else altered
        stages = []
        for split in chosen:
            needs = tuple(name for name, found in splits.items() if split in found)
            made = report_folder(self.workspace, split) / "done.json"
            name = "evaluate" if len(chosen) == 1 else f"evaluate-{split}"
            words = [] if "objective" in self.sections.get("evaluate", {}) else ["--objective", *self.objectives]
            stage = self._stage(name, "evaluate", ["--split", split, *words], needs, (made,))
            stage = dataclasses.replace(stage, recorded=of_scoring(self.workspace, split))
            stages.append(self._scored_as_array(stage, split, expected))
        return stages

    def _scored_as_array(self, evaluate: Stage, split: str, expected: ExpectedShards) -> Stage:
        """One task a shard of the resolutions that it was asked for, else of all that are altered, highest first."""
        config = self._parsed(evaluate, "evaluate").evaluation
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

    def _splits(self, generate: Stage) -> tuple[str, ...]:
        """Whose mammograms a stage alters, its defaults included."""
        splits: tuple[str, ...] = self._parsed(generate, "generate").generation.split
        return splits

    def _parsed(self, stage: Stage, section: str) -> Any:
        """The options that a stage's command line means."""
        return parse(FrontDoor.load(self.root / DOORS[section]).options, stage.command[3:])

    def _stage(
        self,
        name: str,
        section: str,
        words: Sequence[str],
        needs: tuple[str, ...],
        makes: tuple[Path, ...],
        resolution: Resolution | None = None,
        direction: Direction | None = None,
        kept: Sequence[str] | None = None,
    ) -> Stage:
        """``kept`` stands for ``words`` in what the stage was asked for. The interpreter, the folders and where it runs
        are no part of that: they change nothing that is made."""
        door = FrontDoor.load(self.root / DOORS[section])
        own, requests = self._settings(door, section, resolution, direction, words)
        cluster = _requests_over(self.cluster, requests)
        own_words = words_of(door.options, own, section)
        here = ["--workspace", str(self.workspace.root), *words]
        if "cluster" in keys(door.options):
            here += _cluster_words(cluster, "none" if self.where == "slurm" else self.where)
        parsed: Any = parse(door.options, [*own_words, *here])
        goes_on = None
        if door.jobs:
            [job] = door.jobs(parsed)
            if isinstance(job.task, TrainCad | TrainGan):
                goes_on = partial(goes_on_by_itself, job.folder, job.task.config)
        command = (sys.executable, "-u", str(door.script), *own_words, *here)
        decisive = by_content(own_words, partial(self._used_models, section, parsed))
        asks = (DOORS[section], *decisive, *(words if kept is None else kept))
        return Stage(
            name, command, needs, makes, asks, goes_on, gpus=int(section in ("generate", "evaluate")), cluster=cluster
        )

    def _used_models(self, section: str, parsed: Any) -> list[Path]:
        """Checkpoints in the workspace that a stage takes its models from, where that is not this one, whose models the
        study makes itself."""
        from mammogan.training.checkpoint import choose_checkpoint

        asked = parsed.generation if section == "generate" else parsed.evaluation
        if asked.models.resolve() == self.workspace.root.resolve():
            return []
        models = Workspace(asked.models, asked.objective if section == "generate" else "study")
        sizes = [Resolution.parse(text) for text in asked.resolution]
        if section == "generate":
            runs = [models.gan_run(size, direction) for size in sizes for direction in asked.direction]
            found = [choose_checkpoint(run, asked.checkpoint) for run in runs]
            if asked.objective == "lesion" and asked.tries > 1:  # a CAD chooses what is inserted
                found += [choose_checkpoint(models.cad_run(size)) for size in sizes]
        else:
            found = [choose_checkpoint(models.cad_run(size)) for size in sizes or self.resolutions]
        return [path for path in found if path.is_file()]

    def _settings(
        self,
        door: FrontDoor,
        section: str,
        resolution: Resolution | None,
        direction: Direction | None,
        words: Sequence[str],
    ) -> tuple[Settings, Settings]:
        """The section's settings for this stage: its own options, and its requests to the cluster."""
        settings = settings_for(self.sections.get(section, {}), resolution, direction)
        if section == "gan":
            settings = _of_objective(settings, "lesion" if "lesion" in words else "study")
        requests = {key for key in settings if key.replace("-", "_") in keys(ClusterConfig)}
        own = {key: value for key, value in settings.items() if key not in requests}
        return own, {key: settings[key] for key in requests}


def settings_for(section: Settings, resolution: Resolution | None, direction: Direction | None) -> Settings:
    """A section with its parts for a resolution (high, low, HxW) and a direction laid over the rest, in this order."""
    of_resolutions = {key: value for key, value in section.items() if resolution and _names_resolution(key)}
    directions = tuple(Direction) if direction else ()
    plain = {key: value for key, value in section.items() if key not in (*of_resolutions, *directions)}
    for key, value in of_resolutions.items():
        if Resolution.parse(key) == resolution:
            plain = merged(plain, settings_for(value, None, direction))
    return merged(plain, section.get(direction, {})) if direction else plain


def _of_objective(settings: Settings, objective: Objective) -> Settings:
    """What of the section 'gan' applies to an objective: what both share, and its own. The lesion objective's stands
    under ``lesion``."""

    def applies(key: str) -> bool:
        name = key.partition(".")[0].replace("-", "_")
        of_both = name in OF_BOTH_OBJECTIVES or name in keys(ClusterConfig)
        return of_both or (name == "lesion") == (objective == "lesion")

    return {key: value for key, value in settings.items() if applies(key)}


def _words_of_objective(objective: Objective) -> list[str]:
    return [] if objective == "study" else ["--objective", objective]


def merged(below: Settings, above: Settings) -> Settings:
    """``above`` over ``below``, nested mappings key by key."""
    both = {key: merged(below[key], above[key]) for key in below.keys() & above.keys() if isinstance(above[key], dict)}
    return below | above | both


def read_sections(file: Path | None) -> dict[str, Settings]:
    """The stages' settings from study.yaml; an unknown section is an error that lists the valid ones."""
    sections = read_yaml(file) if file else {}
    if unknown := sorted(set(sections) - set(DOORS)):
        raise UserError(f"{file}: unknown section {', '.join(unknown)}; valid sections are {', '.join(DOORS)}")
    for name, section in sections.items():
        if not isinstance(section, dict) and section != "":
            raise UserError(f"{file}: section {name}: expected 'option: value' lines, found {section!r}")
    return {name: section or {} for name, section in sections.items()}


def _names_resolution(key: str) -> bool:
    return key in ("high", "low") or key.replace("x", "").isdigit()


def _requests_over(cluster: ClusterConfig, requests: Settings) -> ClusterConfig:
    parsed = parse(ClusterConfig, words_of(ClusterConfig, requests, "cluster options"))
    return dataclasses.replace(
        cluster, **{key: getattr(parsed, key) for key in (k.replace("-", "_") for k in requests)}
    )


def _cluster_words(cluster: ClusterConfig, name: str) -> list[str]:
    words = ["--cluster", name]
    for key in ("gpus_per_node", "cpu_ranks"):
        if getattr(cluster, key) is not None:
            words += [f"--{key.replace('_', '-')}", str(getattr(cluster, key))]
    return words
