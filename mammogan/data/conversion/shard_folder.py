"""Make the folder of shards of one resolution: check what it holds, resume, write shards, write the index.

.done/<shard>.json is the marker of a finished shard, written after the shard. index.json is written last: if it is
there, the folder is complete.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import webdataset as wds

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.conversion.additions import added_to, made_of
from mammogan.data.conversion.open_shard import OpenShard, member_places
from mammogan.data.conversion.shard_settings import COHORT, MADE_AGAIN, SETTINGS, differences, held_settings
from mammogan.data.shards.codec import codec_of
from mammogan.data.shards.index import ADDITIONS, INDEX, REMEDY, SCHEMA, IndexedShard, ShardIndex, is_whole
from mammogan.data.shards.marked_folder import DONE, MarkedFolder
from mammogan.data.shards.wids_index import write_wids_indexes
from mammogan.errors import UserError
from mammogan.io import atomic, provenance, terminal
from mammogan.io.own_files import file_exists
from mammogan.io.records import EVERY, DamagedRecord, write_record
from mammogan.io.temporary import remove_abandoned
from mammogan.left_by_others import ours_in
from mammogan.workspace import LABELS, SPLITS, Resolution

OVERWRITE_TOKEN = ".anew"
"""File that exists while --overwrite makes all shards again: the sha256 of its settings, so that it can be resumed."""
MARKER = {
    "settings_sha256": str,
    "shard": (dict, type(None)),
    "sources": {EVERY: str},
    "copies?": {EVERY: str},
    "flags": {EVERY: [str]},
    "excluded": [{"line": int, "key": str, "reason": str}],
}
"""What a marker has, with the types."""
MANY = 64
"""With more finished shards than this, hashing them takes long enough to show its progress."""
TEMPORARY_REASONS = {
    "unreadable",
    "decoder_crashed",
    "out_of_memory",
    "timeout",
}
"""Reasons that may come from a temporary trouble of the machine, not from the file: such files are tried again."""


class ShardFolder:
    """The folder of the shards of one resolution, all made with the same ``settings``."""

    def __init__(self, path: Path, resolution: Resolution, settings: dict[str, Any]) -> None:
        self.path, self.resolution = path, resolution
        self.settings = {**settings, "resolution": str(resolution)}
        self.settings_sha256 = self._settings_sha256(len(added_to(self.settings)))
        self.marked = MarkedFolder(path / DONE, path / INDEX, MARKER, MADE_AGAIN.format("makes its shard again"))
        self.done: dict[str, dict[str, Any]] = {}
        self._made_with: dict[str, str] = {}
        self.had = 0
        """Number of additions that it had before it was claimed."""

    def _settings_sha256(self, addition: int) -> str:
        """Hash (sha256) the settings as they were when the rows of this addition came: its shards keep that one."""
        settings = {name: value for name, value in self.settings.items() if name != ADDITIONS}
        if addition:
            settings[ADDITIONS] = added_to(self.settings)[:addition]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def check(self, changed: Callable[[], str]) -> None:
        """Raise UserError when the folder holds shards of other settings (naming what differs) or without markers.

        ``changed`` describes in words how the cohort has changed.
        """
        if not self.marked.is_begun:
            self._refuse_lost_markers()
            return
        held = held_settings(self.path)
        if held is None:
            self._refuse_lost_settings()
            return
        differing = {
            changed() if name in (COHORT, ADDITIONS) else f"{name} was {was}, is {now}": None
            for name, (was, now) in differences(held, self.settings).items()
        }
        if differing:
            raise UserError(
                f"{self.path} holds shards made with other settings or of another cohort: {'; '.join(differing)}. Give "
                "--overwrite to convert all files again, another --workspace to keep these shards too, or the earlier "
                "settings to resume"
            )

    def _refuse_lost_markers(self) -> None:
        # A run that was killed before its first marker leaves at most one shard, and no index.
        if file_exists(self.path / INDEX) or len(ours_in(self.path, "*.tar")) > 1:
            raise UserError(
                f"{self.path} holds shards, but its hidden folder {DONE}, which says how they were made, is missing or "
                f"empty, as after a copy that left out dot-files. Copy {DONE} too (cp -a, rsync -a), or give "
                "--overwrite to make the shards again. Trainings can use the shards as they are"
            )

    def _refuse_lost_settings(self) -> None:
        # Of an unfinished folder the markers alone are left to say whether its shards are of these settings.
        ours = {self._settings_sha256(addition) for addition in range(len(added_to(self.settings)) + 1)}
        made_with = {marker["settings_sha256"] for name in self.marked.names() if (marker := self.marked.read(name))}
        if made_with - ours:
            raise UserError(
                f"{self.path} holds shards made with other settings or of another cohort, such as another fold, and "
                f"{SETTINGS}, which says which, is missing. Bring it back from a copy; give the earlier table and "
                "settings, with which the same command writes it again; or give --overwrite to convert all files "
                "again, or another --workspace to keep these shards too"
            )

    def claim(self, plan: Mapping[str, Sequence[Mammogram]], overwrite: bool) -> None:
        """Prepare the folder for writing: clear it if requested, and find out which planned shards are finished.

        An interrupted ``overwrite`` is resumed: its finished shards are kept if the settings are the same.
        """
        if (overwrite and not self._is_made_anew()) or not self.marked.is_begun:
            self._clear()
            if overwrite:
                atomic.write_text(self.path / OVERWRITE_TOKEN, self.settings_sha256)
        remove_abandoned(self.path)
        held = held_settings(self.path) or self.settings
        self.had = len(added_to(held))
        write_record(self.path / SETTINGS, self.settings)
        self._made_with = {name: self._settings_sha256(rows[0].addition) for name, rows in plan.items()}
        there = len(self.marked.names())
        names = (
            terminal.track(plan, len(plan), f"finished shards compared, {self.resolution}") if there > MANY else plan
        )
        self.done = {name: marker for name in names if (marker := self._marker(name, plan[name]))}
        if len(self.done) < len(plan):
            (self.path / INDEX).unlink(missing_ok=True)
        self._refuse_damaged_index()

    def _refuse_damaged_index(self) -> None:
        """Raise UserError if index.json is damaged, or does not list the finished shards."""
        if not file_exists(self.path / INDEX):
            return
        listed = [(shard.name, shard.sha256) for shard in ShardIndex.load(self.path).shards]
        made = [(m["shard"]["name"], m["shard"]["sha256"]) for m in self.done.values() if m["shard"]]
        if listed != made:
            raise DamagedRecord(self.path / INDEX, f"it does not list the shards that {DONE} records", REMEDY)

    def _clear(self) -> None:
        (self.path / INDEX).unlink(missing_ok=True)
        # Shards are deleted before their markers: shards without markers would look like a copy without dot-files.
        for made in [
            *ours_in(self.path, "*.tar"),
            *ours_in(self.path, f"{DONE}/*.json"),
            *ours_in(self.path, "wids-*.json"),
            self.path / SETTINGS,
        ]:
            made.unlink(missing_ok=True)

    def _is_made_anew(self) -> bool:
        token = self.path / OVERWRITE_TOKEN
        return file_exists(token) and token.read_text(encoding="utf-8") == self.settings_sha256

    def _marker(self, name: str, rows: Sequence[Mammogram]) -> dict[str, Any] | None:
        """Read the marker of a finished shard; None when the shard has to be made (again)."""
        path, marker = self.marked.marker(name), self.marked.read(name)
        if marker is None:
            return None
        shard, tar = marker["shard"], self.path / f"{name}.tar"
        if shard and IndexedShard.of_record(path, shard, self.marked.remedy).name != tar.name:
            raise DamagedRecord(path, f"it is the record of {shard['name']}", self.marked.remedy)
        if marker["settings_sha256"] != self._made_with[name] or not (shard is None or _is_as_made(tar, shard)):
            return None
        if _worth_another_try(marker, rows, path.stat().st_mtime):
            return None
        line_of = {row.key: row.line for row in rows}  # rows may have been added above
        return marker | {"excluded": [row | {"line": line_of[row["key"]]} for row in marker["excluded"]]}

    @contextmanager
    def writing(self, name: str) -> Iterator[OpenShard]:
        """Write one shard under a temporary name; at the end, rename it and write its marker."""
        final = self.path / f"{name}.tar"
        self.marked.marker(name).unlink(missing_ok=True)
        with atomic.replaced_atomically(final) as temporary:
            with open(temporary, "wb") as file:
                # mtime 0 and fixed names: the same samples give the same bytes on any machine, at any time.
                tar = wds.TarWriter(file, user="mammogan", group="mammogan", mtime=0, encoder=False)
                shard = OpenShard(tar, codec_of(self.settings))
                try:
                    yield shard
                except BaseException:
                    # A full disk raises again here; unclosed, it would do so, with a traceback, when tar is deleted.
                    with suppress(OSError):
                        tar.close()
                    raise
                tar.close()
        if not shard.patients:
            final.unlink()
        self.done[name] = {
            "settings_sha256": self._made_with[name],
            "shard": self._entry(name, final, shard.patients) if shard.patients else None,
            "sources": shard.sources,
            "copies": shard.copies,
            "flags": shard.flags,
            "excluded": shard.excluded,
        }
        self.marked.finish(name, self.done[name])

    def _entry(self, name: str, tar: Path, patients: dict[str, str]) -> dict[str, Any]:
        split, label, _ = name.split("-")
        return {
            "name": tar.name,
            "split": split,
            "label": label,
            "count": len(patients),
            "bytes": tar.stat().st_size,
            "sha256": atomic.sha256(tar),
            "samples": [{"key": key, "patient": patients[key], **places} for key, places in member_places(tar).items()],
        }

    def write_index(self, plan: Mapping[str, Sequence[Mammogram]], additions: Sequence[Mapping[str, int]]) -> None:
        """Write index.json from the markers; an existing one, which ``claim`` has checked, is kept.

        ``additions`` counts the rows and patients of each addition to the first table.
        """
        if file_exists(self.path / INDEX):
            return
        shards = [self.done[name]["shard"] for name in plan if self.done[name]["shard"]]
        added = [
            {**counted, **made_of([self.done[n]["shard"] for n, rows in plan.items() if rows[0].addition == addition])}
            for addition, counted in enumerate(additions, 1)
        ]
        index = {
            "schema": SCHEMA,
            "kind": "mammograms",
            "resolution": str(self.resolution),
            "settings": self.settings,
            "settings_sha256": self.settings_sha256,
            "made_by": provenance.made_by(),
            "counts": counts(shards),
            "excluded": self.excluded(),
            **({ADDITIONS: added} if added else {}),
            "shards": shards,
        }
        write_wids_indexes(self.path, shards)
        self.marked.write_index(index)
        (self.path / OVERWRITE_TOKEN).unlink(missing_ok=True)

    def excluded(self) -> list[dict[str, Any]]:
        """List the rows without a sample, in the table's order."""
        return sorted((row for marker in self.done.values() for row in marker["excluded"]), key=lambda row: row["line"])

    def flags(self) -> dict[str, Sequence[str]]:
        """Map the key of each sample with flags, in finished shards, to its flags."""
        return {key: flags for marker in self.done.values() for key, flags in marker["flags"].items()}

    def pixels(self, name: str) -> dict[str, str]:
        """Map the keys of a finished shard's rows, as far as it is known, to the keyed hash of their stored pixels.

        It is known of samples, and of rows that were left out because another row has the same pixels.
        """
        marker = self.done[name]
        return {**marker["sources"], **marker.get("copies", {})}  # earlier versions recorded no copies

    def reopen(self, names: Sequence[str]) -> None:
        """Have these finished shards made again."""
        for name in names:
            del self.done[name]
        if names:
            (self.path / INDEX).unlink(missing_ok=True)

    def sources(self) -> dict[str, str]:
        """Map the keyed hash of the stored pixels to the sample's key, for all samples in finished shards."""
        return {digest: key for marker in self.done.values() for key, digest in marker["sources"].items()}


def _is_as_made(tar: Path, shard: dict[str, Any]) -> bool:
    """Return whether a shard's file has the size and the sha256 that its marker records; if not, it is made again."""
    if not is_whole(tar, shard["bytes"]):
        return False
    if atomic.sha256(tar) == shard["sha256"]:
        return True
    terminal.say(f"{tar.name} has changed since it was made (its sha256 is another): it is made again")
    return False


def _worth_another_try(marker: dict[str, Any], rows: Sequence[Mammogram], made: float) -> bool:
    """Return whether a left-out row may work now: the trouble was temporary, or its file or file rights changed."""
    reasons = {row["key"]: row["reason"] for row in marker["excluded"]}
    left_out = [row for row in rows if row.key in reasons]
    return any(reasons[row.key] in TEMPORARY_REASONS or _changed_since(made, row.path) for row in left_out)


def _changed_since(made: float, path: Path) -> bool:
    try:
        return path.stat().st_ctime > made
    except OSError:
        return True


def counts(shards: Sequence[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Count the samples by split and label."""
    return {
        split: {
            label: sum(shard["count"] for shard in shards if (shard["split"], shard["label"]) == (split, label))
            for label in LABELS
        }
        for split in SPLITS
    }
