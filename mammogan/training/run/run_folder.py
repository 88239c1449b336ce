"""The folder of one training: what it was started with, what of that may change later, and whether it is finished."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.config import CLASSIFIER, to_dict
from mammogan.errors import UserError
from mammogan.io.atomic import sha256
from mammogan.io.own_files import file_exists
from mammogan.io.provenance import made_by, write_provenance_beside
from mammogan.io.records import EVERY, DamagedRecord, read_record, read_yaml_record, write_record, write_yaml_record
from mammogan.io.temporary import remove_abandoned, remove_abandoned_of
from mammogan.training.run.begun_with import LENGTHS, SOURCES, changes, is_bank, plain, settings_of
from mammogan.workspace import EXPORTED

REMEDY = (
    "Bring it back from a copy; or, if you know the settings of this training, delete it and repeat the training's "
    "command with them, which continues from its checkpoint and writes it again"
)
"""What to do about a damaged config.yaml."""
CHECKPOINTS = "checkpoints_sha256"
"""Name of the sha256 of the checkpoints in done.json, by file name."""
OF_DONE = ("epochs", "lesions", CHECKPOINTS)
"""What done.json has, at least one of them: trainings their epochs, a bank its lesions."""
DONE_SHAPE = {f"{CHECKPOINTS}?": {EVERY: str}, "reading?": (dict, type(None))}
DONE_AGAIN = "Delete it and repeat the training's command, which ends at once and writes it again"
STARTED_FROM = ("start_sha256", "start_shards_sha256")
"""What is recorded of the weights of another training that this one began with: their sha256, and the fingerprint of
the shards that they were trained on."""


@dataclass(frozen=True)
class Run:
    """The folder of one training.

    It contains config.yaml and beside it the version of the code, metrics.jsonl, checkpoints/, pictures/, and
    done.json, which is written last.
    """

    path: Path

    @property
    def newest(self) -> Path:
        return self.path / "checkpoints" / "newest.pt"

    @property
    def previous(self) -> Path:
        """Path of newest-1.pt, the newest.pt of the save before; it is used when newest.pt is damaged."""
        return self.path / "checkpoints" / "newest-1.pt"

    @property
    def has_state(self) -> bool:
        """True when there is a checkpoint to resume from."""
        return file_exists(self.newest) or file_exists(self.previous)

    @property
    def best(self) -> Path:
        return self.path / "checkpoints" / "best.pt"

    @property
    def exported(self) -> Path:
        """The weights of an exported model, which has no checkpoints."""
        return self.path / EXPORTED

    @property
    def is_exported(self) -> bool:
        """True for the folder of an exported model. One with checkpoints/ is a training's, whatever else lies in it."""
        return not os.path.lexists(self.newest.parent) and file_exists(self.exported)

    def has_under_own_name(self, checkpoint: Path) -> bool:
        """Return whether a path is that of a checkpoint which a training writes here."""
        own = (self.best, self.newest, self.previous, self.identity)
        return checkpoint.absolute() in {path.absolute() for path in own}

    @property
    def identity(self) -> Path:
        """The generator at the end of the identity phase, before adversarial training."""
        return self.path / "checkpoints" / "identity.pt"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def done(self) -> Path:
        return self.path / "done.json"

    @property
    def shards_sha256(self) -> str | None:
        """Fingerprint of the shards it was trained on; None if the run does not record it."""
        found: str | None = self._record().get("shards_sha256")
        return found

    @property
    def cad_sha256(self) -> str | None:
        """sha256 of the CAD that a generator was trained against; None if the run does not record it."""
        found: str | None = self._record().get("cad_sha256")
        return found

    @property
    def started_from(self) -> dict[str, Any]:
        """What the run records of the weights that it began with; empty if it began without any."""
        return {name: value for name, value in self._record().items() if name in STARTED_FROM}

    @property
    def epochs(self) -> int | None:
        """Number of epochs it was started with or last requested; None if it has not started."""
        found: int | None = self._record().get("config", {}).get("epochs")
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """The settings it was started with; empty if the run does not record them."""
        found: dict[str, Any] = self._record().get("config", {})
        return found

    @property
    def classifier(self) -> str:
        """Architecture of the CAD that it trains; the study's if the run does not record it."""
        found: str = self._record().get("config", {}).get("classifier", CLASSIFIER)
        return found

    def check(self, config: Any, inputs: dict[str, Any]) -> None:
        """Raise UserError if settings that change the result, or inputs, differ from those at the start.

        A lesion bank is never refused: it is not resumed but made again, in minutes.
        """
        if not is_bank(self._record()) and (changed := self.changes(config, inputs)):
            raise UserError(
                f"{self.path} was started with other settings or inputs: {'; '.join(changed)}. "
                "Go back to those, or remove the folder to train again"
            )

    def refuse_exported(self) -> None:
        """Raise UserError if this is the folder of an exported model, in which no training can be."""
        if self.is_exported:
            raise UserError(
                f"{self.path} holds an exported model, and a training needs a folder of its own: move the model away. "
                "To begin with its weights, name it with --start-from"
            )

    def changes(self, config: Any, inputs: dict[str, Any]) -> list[str]:
        """Describe which settings and inputs that decide the result differ from those at the start.

        Empty if nothing differs or the run has not started.
        """
        return changes(self._record(), config, inputs)

    def changed_sources(self, inputs: dict[str, Any]) -> list[str]:
        """Describe which source files of classes of your own are others than at the start; the training may go on."""
        recorded = self._record()
        return [
            f"{what} has changed since the training was started; its weights were trained by the earlier one"
            for name, what in SOURCES.items()
            if name in inputs and name in recorded and recorded[name] != inputs[name]
        ]

    def begin(self, config: Any, inputs: dict[str, Any]) -> None:
        """Write config.yaml and, beside it, files that record the version of the code.

        It removes done.json, since a run that continues with more epochs is no longer done, and leftover temporary
        files.
        """
        self.done.unlink(missing_ok=True)
        for folder in (self.newest.parent, self.path / "pictures"):
            remove_abandoned(folder)
        for file in (self.path / "config.yaml", self.metrics, self.done):
            remove_abandoned_of(file)
        record = {"config": plain(to_dict(config)), "made_by": made_by(), **inputs}
        write_yaml_record(self.path / "config.yaml", record)
        write_provenance_beside(self.path / "config.yaml")

    def is_finished(self, config: Any) -> bool:
        """True if this training has ended with the epochs and stop rules that are requested now."""
        before, now = self.lengths(config)
        return file_exists(self.done) and before == now

    def lengths(self, config: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the settings that decide how long it takes, as recorded and as requested now."""
        requested = settings_of(to_dict(config))
        recorded = settings_of(to_dict(type(config)())) | settings_of(self._record().get("config", {}))
        names = [name for name in LENGTHS if name in requested]
        return {name: recorded.get(name) for name in names}, {name: requested[name] for name in names}

    def recorded(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return those of these inputs that the run records."""
        return {name: value for name, value in inputs.items() if name in self._record()}

    def _record(self) -> dict[str, Any]:
        """Return the content of config.yaml; empty if the run has not started. Raise UserError if it is damaged."""
        settings = self.path / "config.yaml"
        return read_yaml_record(settings, {"config": dict}, REMEDY) if file_exists(settings) else {}

    @property
    def facts(self) -> dict[str, Any]:
        """What done.json says of the finished training; empty if it is not finished. Raises UserError if it is damaged,
        or another record in its place."""
        if not file_exists(self.done):
            return {}
        held = read_record(self.done, DONE_SHAPE, DONE_AGAIN)
        if not held.keys() & set(OF_DONE):
            raise DamagedRecord(self.done, "it is another record than that of a finished training", DONE_AGAIN)
        return held

    def finish(self, facts: dict[str, Any]) -> None:
        """Write done.json, which marks the run as complete, with the sha256 of the checkpoints that are its result."""
        kept = [path for path in (self.best, self.newest, self.identity) if file_exists(path)]
        write_record(self.done, {**facts, CHECKPOINTS: {path.name: sha256(path) for path in kept}})

    @property
    def lost_result(self) -> str:
        """Name of the checkpoint that is this finished run's result, the best one or else the newest, if that is gone;
        empty if it is there, and for runs of earlier versions, which do not say which one it was."""
        recorded = self.facts.get(CHECKPOINTS, {})
        result = self.best if self.best.name in recorded else self.newest
        return result.name if result.name in recorded and not file_exists(result) else ""

    def refuse_lost_result(self) -> None:
        """Raise UserError if the result of this finished run is gone: any other checkpoint is another network. A lesion
        bank is never refused: it is made again."""
        if self.lost_result and not is_bank(self._record()):
            raise UserError(
                f"{self.path}: checkpoints/{self.lost_result}, the result of this finished training, is gone. Bring it "
                "back from a copy, or remove the folder to train again"
            )

    def check_result(self, checkpoint: Path, found: str = "") -> None:
        """Raise UserError if a checkpoint of this finished run is not the one that it ended with, such as an earlier
        one in its place, or a best one of a training that ended without. ``found`` is its sha256, if that is known.

        Runs that are not finished, or of earlier versions, do not say which one it was.
        """
        recorded = self.facts.get(CHECKPOINTS, {})
        own = checkpoint.absolute().parent == self.newest.absolute().parent
        if not own or not recorded or not isinstance(recorded, dict):
            return
        expected = recorded.get(checkpoint.name)
        if expected is None and checkpoint.name in (self.best.name, self.identity.name):
            raise UserError(
                f"checkpoint {checkpoint} is of no use here: its training ended without one ({self.done} does not list "
                "it), so it is another training's. Move it away; or name it where it belongs"
            )
        if expected is not None and expected != (found or sha256(checkpoint)):
            raise UserError(
                f"checkpoint {checkpoint} is not the one that its training ended with (its sha256 is not the one in "
                f"{self.done}): was another put in its place? Bring the right file back; or delete {self.done} and "
                "repeat the training's command, to have this one believed"
            )
