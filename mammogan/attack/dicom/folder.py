"""Manage the folders of DICOM files under adversarial/<size>/, and the key of a blinded reader study.

Next to the adversarial shards, .done/<folder>/<shard>.json marks a shard whose files are all written. The folder's
index.json is written last. The folder of a blinded study has no index, because readers receive the folder: its key file
holds the list instead.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.attack.folder import AdversarialFolder, Entry
from mammogan.data.cohort.workspace_table import REMEDY
from mammogan.data.shards.index import INDEX, SCHEMA
from mammogan.data.shards.marked_folder import DONE, MarkedFolder
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import PRIVATE, sha256
from mammogan.io.own_files import file_exists
from mammogan.io.provenance import made_by
from mammogan.io.records import DamagedRecord, read_record, write_record
from mammogan.io.temporary import remove_abandoned
from mammogan.left_by_others import ours_in
from mammogan.workspace import Resolution, Workspace

ABOUT = "Key of a blinded reader study: which files are altered. Keep it from the readers, and keep it."
FILE = {"file": str, "bytes": int, "sha256": str}
LISTED = {"files": [FILE], "left_out": [dict]}
MARKER = LISTED | {"shard": str, "made_from": {"altered_shard_sha256": str, "study": str}}
KEY = LISTED | {"about": str, "folder": str, "secret": str}
"""What the index, a shard's marker and the key of a blinded study have, with the types."""
MADE_AGAIN = "Delete it and repeat mammogan generate with the same options, which writes its files again"
RELISTED = "Delete it and repeat mammogan generate with the same options, which lists the files again"


@dataclass(frozen=True)
class StudyKey:
    """The key file of a blinded study, readable only by its owner. File names are derived from its secret."""

    path: Path

    @property
    def id(self) -> str:
        """Identifies this key without revealing it; empty if the key file does not exist yet."""
        return hashlib.sha256(self.secret.encode()).hexdigest()[:16] if file_exists(self.path) else ""

    @property
    def secret(self) -> str:
        return str(self._read()["secret"])

    def code(self, key: str) -> str:
        """Return the 12 hex digits that name a mammogram; without the key they reveal nothing."""
        return hmac.new(self.secret.encode(), key.encode(), hashlib.sha256).hexdigest()[:12]

    def make(self, folder: DicomFolder) -> None:
        """Create the key file with a new secret if it does not exist. Raise UserError if it belongs to another
        folder."""
        if not file_exists(self.path):
            self._write(folder, secrets.token_hex(32), {"files": [], "left_out": []})
        elif (of := self._read()["folder"]) != folder.title:
            raise UserError(f"{self.path} is the key of {of}; {folder.title} needs a key file of its own")

    def write(self, folder: DicomFolder, listed: Entry) -> bool:
        """Write which files are adversarial into the key. Return False if it already says so."""
        key = self._read()
        if {name: key[name] for name in listed} == listed:
            return False
        self._write(folder, key["secret"], listed)
        return True

    def _write(self, folder: DicomFolder, secret: str, listed: Entry) -> None:
        key = {"about": ABOUT, "folder": folder.title, "secret": secret, "made_by": made_by(), **listed}
        write_record(self.path, key, PRIVATE)

    def _read(self) -> dict[str, Any]:
        try:
            key = read_record(self.path, KEY)
            if key["about"] == ABOUT and key["secret"]:
                return key
            why = "it is another file"
        except DamagedRecord as error:
            why = error.why
        raise UserError(
            f"{self.path} is not a key file of a blinded study ({why}); give the path of one, bring it back from a "
            "copy, or give the path of a new file"
        )


@dataclass(frozen=True)
class DicomFolder:
    """The adversarial mammograms of one resolution as DICOM files: at shard size or the originals' size, marked or
    blinded."""

    workspace: Workspace
    resolution: Resolution
    native: bool
    key: StudyKey | None = None

    @property
    def name(self) -> str:
        return "dicom" + "-native" * self.native + "-blinded" * bool(self.key)

    @property
    def path(self) -> Path:
        return self.workspace.adversarial(self.resolution) / self.name

    @property
    def title(self) -> str:
        """The folder's path relative to the workspace."""
        return str(self.path.relative_to(self.workspace.root))

    @property
    def complete(self) -> Path:
        """The file that is written last, the key or index.json: if it is there, the folder is complete."""
        return self.key.path if self.key else self.path / INDEX

    def check(self) -> None:
        """Raise UserError if readers would receive the key, or if files of another study are here."""
        if not self.key:
            return
        if self.key.path.resolve().is_relative_to(self.path.resolve()):
            raise UserError(f"--blinded {self.key.path} lies among the files that readers get; put it elsewhere")
        if any(entry["made_from"]["study"] != self.key.id for entry in self._markers()):
            raise UserError(
                f"{self.path} holds files of another key than {self.key.path}: give --blinded that key file, or "
                f"remove {self.path} and {self._marked.marks} to begin another study"
            )

    def entry(self, shard: str) -> Entry | None:
        """Return the marker's entry of a shard that is written; None if one of its files is missing or has another
        size."""
        entry = self._marked.read(shard)
        return entry if entry and all(self._holds(file) for file in entry["files"]) else None

    def finish_shard(self, shard: str, entry: Entry) -> None:
        """Write a shard's marker, readable only by its owner if it reveals part of the key."""
        self._marked.finish(shard, entry, PRIVATE if self.key else None)

    def remove(self, shard: str) -> None:
        """Delete a shard's files, its marker, and the index that lists them; the key of a blinded study is kept."""
        entry = self._marked.read(shard)
        self._marked.remove(shard, *(self.path / file["file"] for file in (entry["files"] if entry else ())))

    def drop_leftovers(self) -> None:
        """Delete files of adversarial shards that are gone or have changed, and leftovers of killed processes that
        belong to no finished shard. No other process may be writing here."""
        adversarial = AdversarialFolder(self.workspace, self.resolution)
        for entry in self._markers():
            now = adversarial.entry(entry["shard"])
            if now is None or now["sha256"] != entry["made_from"]["altered_shard_sha256"]:
                self.remove(entry["shard"])
        listed = {file["file"] for entry in self._markers() for file in entry["files"]}
        for path in ours_in(self.path, "*.dcm"):
            if path.name not in listed:
                path.unlink(missing_ok=True)
        remove_abandoned(self.path, "*.dcm.*")

    def write_index(self) -> int | None:
        """List all files in the index or in the key. Return their number, or None if the list was already up to
        date."""
        entries = self._markers()
        listed = {name: [one for entry in entries for one in entry[name]] for name in ("files", "left_out")}
        changed = self.key.write(self, listed) if self.key else self._write_index(listed)
        return len(listed["files"]) if changed else None

    def _write_index(self, listed: Entry) -> bool:
        if file_exists(self.complete):
            there = read_record(self.complete, LISTED, RELISTED)
            if {name: there[name] for name in listed} == listed:
                return False
        index = {"schema": SCHEMA, "kind": self.name, "resolution": str(self.resolution), "made_by": made_by()}
        self._marked.write_index({**index, **listed})
        return True

    @property
    def _marked(self) -> MarkedFolder:
        """The markers of its shards, and its index; the key of a blinded study is no index, it is kept."""
        marks = self.workspace.adversarial(self.resolution) / DONE / self.name
        return MarkedFolder(marks, None if self.key else self.complete, MARKER, MADE_AGAIN)

    def _markers(self) -> Sequence[Entry]:
        return [entry for name in self._marked.names() if (entry := self._marked.read(name))]

    def _holds(self, file: dict[str, Any]) -> bool:
        path = self.path / file["file"]
        return file_exists(path) and path.stat().st_size == file["bytes"] and sha256(path) == file["sha256"]


def cohort_of_originals(workspace: Workspace) -> Path:
    """Return the table with the paths of the original mammograms. Raise MissingInput if it is not there."""
    if not file_exists(workspace.cohort):
        raise MissingInput(
            f"--native reads the original mammograms by the paths in {workspace.cohort}, which is not there. {REMEDY}"
        )
    return workspace.cohort
