"""Makes one seed of the comparison of objectives: cohorts, trainings, adversarial mammograms, rows of the table."""

from __future__ import annotations

import csv
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from objective_measures import MEASURING, Measured, measure_all, measure_cads
from objective_table import Row

from mammogan.cluster.processes import exit_code, start, stopping_on_exit
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.data.shards.reader import shards_fingerprint
from mammogan.errors import UserError
from mammogan.io.atomic import read_json, replaced_atomically, sha256, write_json, write_text
from mammogan.io.terminal import say
from mammogan.study.pipeline import StudyPlan
from mammogan.study.run_local import PATIENCE
from mammogan.study.run_local import run as run_stages
from mammogan.study.settings import read_sections
from mammogan.study.stage import Stage
from mammogan.training.run.checkpoint_files import choose_checkpoint
from mammogan.workspace import Direction, Resolution, Workspace

if TYPE_CHECKING:
    from objectives import Options

ROOT = Path(__file__).resolve().parent.parent
UNSEEN, SECOND = 1000, 100
"""Added to a seed to get the seeds of its unseen cohort and of its second CAD."""
OUT_OF_DOMAIN = "an unseen cohort of phantoms"
SALT = "phantoms are nobody: no secret is needed\n"
"""The same everywhere, so that the keys, which decide what is inserted where, are the same on every machine."""


@dataclass(frozen=True)
class Seed:
    """Where the files of one seed are, and how they are made."""

    number: int
    options: Options

    @property
    def size(self) -> Resolution:
        return Resolution.parse(self.options.size)

    @property
    def trained(self) -> Workspace:
        """Workspace of the cohort, the CAD and the generators."""
        return Workspace(self.options.out / f"seed-{self.number}")

    @property
    def second(self) -> Workspace:
        """Workspace of another CAD, trained on the same mammograms."""
        return Workspace(self.options.out / f"second-{self.number}")

    @property
    def unseen(self) -> Workspace:
        """Workspace of a cohort that nothing was trained on; all of it is the test split."""
        return Workspace(self.options.out / f"test-{self.number}")

    @property
    def rows(self) -> Path:
        """File with the rows of this seed."""
        only = "cad-" if self.options.only == "cad" else ""
        return self.options.out / "rows" / f"{only}seed-{self.number}.json"

    def complete(self) -> bool:
        """Make everything that is missing, and measure it. Return False if the rows exist and are up to date."""
        if self._is_measured():
            return False
        say(f"\nseed {self.number}: cohorts")
        self._draw(self.trained, self.number, self.options.patients)
        self._draw(self.unseen, self.number + UNSEEN, self.options.test_patients)
        self._train_cads()
        self._convert_unseen()
        if self.options.only == "all":
            self._train_generators()
            self._make_adversarial()
        say(f"\nseed {self.number}: measuring")
        measure = measure_cads if self.options.only == "cad" else measure_all
        measured = measure(self.trained, self.second, self.unseen, self.size, self.options)
        self._write(measured)
        return True

    def _draw(self, workspace: Workspace, seed: int, patients: int) -> None:
        asked = self.options
        _prepare(workspace)
        words = ["--out", str(workspace.root / "phantoms"), "--patients", str(patients), "--seed", str(seed)]
        words += ["--size", str(self.size), "--preset", asked.preset, "--conspicuity", str(asked.conspicuity)]
        run_commands(["shards/make_phantom.py", *words, "--twins", "--jobs", str(asked.parallel)])

    def _train_cads(self) -> None:
        """Train both CADs side by side, as mammogan study would train each."""
        _prepare(self.second)
        shards = self.second.root / "shards"
        if not shards.is_symlink():
            shards.symlink_to(Path("..") / self.trained.root.name / "shards", target_is_directory=True)
        first, second = self._line(self.trained, self.number), self._line(self.second, self.number + SECOND)
        convert, cad = _named(first, "shards"), _named(first, f"cad-{self.size}")
        other = replace(_named(second, cad.name), name=f"second-{cad.name}")
        stages = [convert, cad, other]
        for stage in stages:
            say(f"$ {shlex.join(['python', *stage.command[2:]])}")
        if run_stages(stages, self.options.parallel, self.trained.root / "study"):
            raise UserError("a CAD could not be trained, see above")

    def _line(self, workspace: Workspace, seed: int) -> list[Stage]:
        """Return the study's stages in a workspace; its settings, with the seed, are written into it."""
        sections = read_sections(self.options.config)
        for name in ("cad", "gan"):
            sections[name] = {**sections.get(name, {}), "seed": str(seed)}
        if self.options.cad_from:
            sections["cad"] |= {"start-from": str(Path(self.options.cad_from).resolve()), "fnet-epochs": "0"}
        if self.options.allow_weak_cad:
            sections["gan"]["allow-weak-cad"] = "true"
        write_text(_settings(workspace), yaml.safe_dump(sections, sort_keys=False))
        line = StudyPlan(
            *(workspace, (self.size,), _labels(self.trained), sections, ClusterConfig(), "none"),
            self.options.objective,
        )
        return line.stages()

    def _train_generators(self) -> None:
        words = ["--cohort", str(_labels(self.trained)), "--workspace", str(self.trained.root), "--resolution"]
        words += [str(self.size), "--objective", *self.options.objective, "--config", str(_settings(self.trained))]
        run_commands(["launch/study.py", *words, "--cluster", "none", "--parallel", str(self.options.parallel)])

    def _convert_unseen(self) -> None:
        """Make the shards of the unseen cohort, all in its test split, with at most --test-negatives negatives."""
        rows = _of_test_split(_labels(self.unseen), self.options.test_negatives)
        table = self.unseen.root / "labels.csv"
        with replaced_atomically(table) as own, open(own, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        words = ["--cohort", str(table), "--workspace", str(self.unseen.root), "--resolution", str(self.size)]
        run_commands(["shards/make_shards.py", *words, "--jobs", str(self.options.parallel)])

    def _make_adversarial(self) -> None:
        words = ["--workspace", str(self.unseen.root), "--resolution", str(self.size), "--cluster", "none"]
        words += ["--models", str(self.trained.root), "--out-of-domain", OUT_OF_DOMAIN]
        commands = [["launch/generate.py", *words, "--objective", name] for name in self.options.objective]
        for at in range(0, len(commands), self.options.parallel):
            run_commands(*commands[at : at + self.options.parallel])
        run_commands(["launch/evaluate.py", *words, "--objective", *self.options.objective])

    def _is_measured(self) -> bool:
        try:
            return self.rows.is_file() and read_json(self.rows)["made_from"] == self._made_from()
        except OSError:  # an input of the rows is missing
            return False

    def _made_from(self) -> dict[str, Any]:
        """Return everything that decides the rows; OSError if a part of it is missing."""
        asked, runs = self.options, {"cad": self.trained.cad_run(self.size), "second": self.second.cad_run(self.size)}
        found: dict[str, Any] = {"measures": MEASURING, "cohort": self.settings(), "config": sha256(asked.config)}
        if asked.only == "all":
            views = [self.trained.of(objective) for objective in asked.objective]
            runs |= {f"{v.objective} {d}": v.gan_run(self.size, d) for v in views for d in Direction}
            found |= {"detector": [asked.detector_steps, asked.detector_seeds]}
        found["checkpoints"] = {name: sha256(choose_checkpoint(run)) for name, run in runs.items()}
        found["shards"] = [shards_fingerprint(of.shards(self.size)) for of in (self.trained, self.unseen)]
        return found

    def settings(self) -> dict[str, str]:
        """Return the settings that the CSV records for each row, in addition to its seed."""
        asked = self.options
        names = ("patients", "test_patients", "test_negatives", "preset", "conspicuity", "detector_steps")
        config = f"{asked.config.name} {sha256(asked.config)[:8]}"
        if asked.cad_from:
            config += f", CAD from {sha256(choose_checkpoint(Path(asked.cad_from)))[:8]}"
        return {"size": str(self.size), **{n: str(getattr(asked, n)) for n in names}, "config": config}

    def _write(self, measured: Sequence[Measured]) -> None:
        settings = self.settings()
        rows = [Row(settings, self.number, of, name, value) for of, name, value in measured if value is not None]
        made_from = self._made_from()
        self.rows.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.rows, {"made_from": made_from, "rows": [vars(row) for row in rows]})


def _prepare(workspace: Workspace) -> None:
    salt = workspace.salt
    if not salt.is_file():
        salt.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(salt, SALT, 0o600)


def _labels(workspace: Workspace) -> Path:
    return workspace.root / "phantoms" / "labels.csv"


def _settings(workspace: Workspace) -> Path:
    return workspace.root / "settings.yaml"


def _named(stages: Sequence[Stage], name: str) -> Stage:
    return next(stage for stage in stages if stage.name == name)


def _of_test_split(labels: Path, negatives: int) -> list[dict[str, str]]:
    """Return rows of the test split: all positives, and negatives of complete patients until there are ``negatives``.

    Their paths are relative to the folder above.
    """
    with open(labels, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept: dict[str, int] = {}
    for row in rows:
        if row["label"] == "negative" and (row["patient"] in kept or sum(kept.values()) < negatives):
            kept[row["patient"]] = kept.get(row["patient"], 0) + 1
    return [
        row | {"path": str(Path(labels.parent.name) / row["path"]), "split": "test"}
        for row in rows
        if row["label"] == "positive" or row["patient"] in kept
    ]


def run_commands(*commands: Sequence[str]) -> None:
    """Print commands of the project and run them side by side; they end when this process ends.

    UserError when one fails.
    """
    children: list[subprocess.Popen[str]] = []
    with stopping_on_exit(children, PATIENCE):
        for words in commands:
            say(f"\n$ python {shlex.join(words)}")
            children.append(start([sys.executable, "-u", str(ROOT / words[0]), *words[1:]], {}, None))
        codes = [exit_code(child) for child in children]
    for words, code in zip(commands, codes, strict=True):
        if code:
            raise UserError(f"{words[0]} ended with exit code {code}, see above")
