"""The DICOM files of one adversarial shard: what decides them, and whether they are up to date. Nothing heavy is
imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mammogan.attack.config import DicomConfig
from mammogan.attack.dicom.folder import DicomFolder, StudyKey, cohort_of_originals
from mammogan.attack.shard_task import ShardTask
from mammogan.errors import UserError
from mammogan.io.atomic import Digest
from mammogan.io.hashes import sha256_once

EXPORT = 5
"""Version of the export; increase it when the same adversarial shard gives other files."""


@dataclass(frozen=True)
class DicomTask:
    """The DICOM files of one adversarial shard; small enough to be pickled for a cluster job."""

    shard: ShardTask
    folder: DicomFolder

    @property
    def made_from(self) -> dict[str, Any]:
        """Everything that decides the content of the files."""
        entry = self.shard.folder.entry(self.shard.name)
        return {
            "export": EXPORT,
            "altered_shard_sha256": entry["sha256"] if entry else "",
            "study": self.folder.key.id if self.folder.key else "",
        }

    def outdated(self, digest: Digest = sha256_once) -> bool:
        """Return whether the files have to be written."""
        entry = self.folder.entry(self.shard.name)
        return bool(self.shard.outdated(digest)) or entry is None or entry["made_from"] != self.made_from


def plan_dicom(shards: Sequence[ShardTask], config: DicomConfig) -> list[DicomTask]:
    """Return one task per adversarial shard; none without --dicom. Raise UserError before anything is written."""
    if not config.dicom:
        return []
    if config.blinded and len({task.resolution for task in shards}) > 1:
        raise UserError(f"--blinded {config.blinded} is the key of one resolution's files: name one --resolution")
    key = StudyKey(config.blinded) if config.blinded else None
    tasks = [DicomTask(task, DicomFolder(task.workspace, task.resolution, config.native, key)) for task in shards]
    for folder in dict.fromkeys(task.folder for task in tasks):
        folder.check()
        if config.native:
            cohort_of_originals(folder.workspace)
    return tasks


def make_keys(tasks: Sequence[DicomTask]) -> None:
    """Create the secret of a blinded study, from which the file names are derived, before the first file is written."""
    for folder in dict.fromkeys(task.folder for task in tasks):
        if folder.key:
            folder.key.make(folder)
