"""Decide which rows of a cohort are used whose files have the same pixels.

One image under both labels is not used at all: one of the labels is wrong, and nobody knows which. Of rows with one
label the first is used, so that no image is in two splits or counts twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.conversion.convert_image import Converted, Skipped
from mammogan.data.conversion.shard_folder import ShardFolder

LABELS_CONFLICT = "labels_conflict"
"""Reason code of rows whose pixels another row has with the other label."""
SHOWN = 5
"""Number of images under both labels that the report names."""


class SamePixels:
    """The rows whose pixels are known, by the keyed hash of the pixels: those of finished shards, and each one judged.

    A row is judged by the rows that came with it or before: shards that were finished before an addition stay as they
    are.
    """

    def __init__(self, folders: Sequence[ShardFolder], plan: Mapping[str, Sequence[Mammogram]]) -> None:
        self.row_of = {row.key: row for rows in plan.values() for row in rows}
        self.known: defaultdict[str, dict[str, Mammogram]] = defaultdict(dict)
        self.used: dict[tuple[str, str], Mammogram] = {}
        for folder in folders:
            for name in folder.done:
                for key, digest in folder.pixels(name).items():
                    self.known[digest][key] = self.row_of[key]
            for digest, key in folder.sources().items():
                self.used[digest, self.row_of[key].label] = self.row_of[key]
        self.unjudged = len({key for folder in folders for key in _unjudged(folder)})
        """Number of rows that an earlier version left out, of whose pixels the shards say nothing."""

    def judge(self, result: Converted | Skipped, row: Mammogram) -> Converted | Skipped:
        """Return the result of converting a row, or the reason why another row with its pixels leaves it out."""
        if isinstance(result, Skipped):
            return result
        digest = result.source_hmac
        self.known[digest][row.key] = row
        if contrary := self._with_other_label(digest, row):
            named = " and ".join(f"{other.key}, line {other.line}" for other in contrary)
            return Skipped(LABELS_CONFLICT, f"same pixels as {named}, with the other label", digest)
        used = self.used.setdefault((digest, row.label), row)
        if used.key == row.key:
            return result
        code = "duplicate" if used.patient == row.patient else "duplicate_conflict"
        return Skipped(code, f"same pixels as {used.key}, line {used.line}", digest)

    def misjudged(self, folder: ShardFolder) -> list[str]:
        """List the finished shards with a row of which it was not known yet, or is no longer so, that another row has
        its pixels with the other label."""
        return [name for name in folder.done if self._is_misjudged(folder, name)]

    def _is_misjudged(self, folder: ShardFolder, name: str) -> bool:
        left_out = {row["key"] for row in folder.done[name]["excluded"] if row["reason"] == LABELS_CONFLICT}
        return any(
            bool(self._with_other_label(digest, self.row_of[key])) != (key in left_out)
            for key, digest in folder.pixels(name).items()
        )

    def _with_other_label(self, digest: str, row: Mammogram) -> list[Mammogram]:
        known = self.known[digest].values()
        return [other for other in known if other.label != row.label and other.addition <= row.addition]

    def warnings(self) -> Iterator[str]:
        """Yield a sentence for each image under both labels, for many of them a few; they name pseudonyms only."""
        groups = [sorted(rows.values(), key=lambda row: row.line) for rows in self.known.values()]
        contrary = sorted((g for g in groups if len({row.label for row in g}) > 1), key=lambda g: g[0].line)
        used = {row.key for row in self.used.values()}
        yield from (_warning(group, used) for group in contrary[:SHOWN])
        if len(contrary) > SHOWN:
            yield f"{len(contrary) - SHOWN} further images have both labels; the list of files left out names them"
        if self.unjudged:
            yield (
                f"{self.unjudged} left out as duplicate_conflict by an earlier version of mammogan, which used the "
                "other row of each even where the labels differ, so that some labels in these shards may be wrong. "
                "Look at them; --overwrite makes the shards again without both"
            )


def _unjudged(folder: ShardFolder) -> Iterator[str]:
    for name, marker in folder.done.items():
        pixels = folder.pixels(name)
        conflicts = (row["key"] for row in marker["excluded"] if row["reason"] == "duplicate_conflict")
        yield from (key for key in conflicts if key not in pixels)


def _warning(group: Sequence[Mammogram], used: Set[str]) -> str:
    names = [" and ".join(row.key for row in group if (row.key in used) is is_used) for is_used in (True, False)]
    if not names[0]:
        return f"{names[1]} have the same pixels, but not the same label, so none of them is used. Correct the table"
    return (
        f"{names[0]} is in shards that were finished before, but {names[1]}, added later, has the same pixels and the "
        f"other label: one of the labels is wrong. {names[1]} is left out; {names[0]} stays, since an addition changes "
        "no earlier shard. Correct the table, and make the shards again with --overwrite"
    )
