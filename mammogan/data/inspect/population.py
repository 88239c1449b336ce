"""Say what the mammograms of a split are: phantoms, which a program has drawn, or images of patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mammogan.data.cohort.workspace_table import rows_by_key
from mammogan.data.phantom.origin import PhantomCohort, cohort_folder, contrast_text
from mammogan.data.shards.damage import naming
from mammogan.data.shards.facts import read_facts
from mammogan.data.shards.index import IndexedShard, ShardIndex
from mammogan.errors import UserError
from mammogan.io.own_files import file_exists
from mammogan.workspace import Workspace

OF_PATIENTS = "mammograms of patients"


def no_patient(kind: str) -> str:
    """Return the sentence above every figure that is of phantoms alone; ``kind`` is what they are."""
    return f"No patient was imaged: {kind}, drawn by a program."


@dataclass(frozen=True)
class Part:
    """The mammograms of a split that are of one kind."""

    phantom: bool
    contrast: float | None
    """Contrast of the phantoms' masses as a multiple of the physical one; None if unknown, or of no phantoms."""
    images: int
    patients: int
    cohorts: tuple[str, ...] = ()
    """How each phantom cohort among them was drawn."""

    @property
    def kind(self) -> str:
        """What they are, such as 'phantom mammograms, lesion contrast x12.5'."""
        return f"phantom mammograms, lesion contrast {contrast_text(self.contrast)}" if self.phantom else OF_PATIENTS

    @property
    def counted(self) -> str:
        """What they are and how many, such as '8 mammograms of patients (2 patients)'."""
        of = f"{'drawn ' if self.phantom else ''}patient{'s' if self.patients != 1 else ''}"
        return f"{self.images} {self.kind} ({self.patients} {of})"


@dataclass(frozen=True)
class Population:
    """All mammograms of a split, by kind; the most frequent kind first."""

    parts: tuple[Part, ...]

    @property
    def kind(self) -> str:
        """What they are; of several kinds, all with their counts."""
        return self.parts[0].kind if len(self.parts) == 1 else "a mix of " + " and ".join(p.counted for p in self.parts)

    @property
    def all_phantoms(self) -> bool:
        """Whether none of them is of a patient."""
        return bool(self.parts) and all(part.phantom for part in self.parts)

    @property
    def note(self) -> str:
        """What a caption says before anything else; empty if all are of patients."""
        return self.kind if any(part.phantom for part in self.parts) else ""

    def refuse_mixed(self, split: str) -> None:
        """Raise UserError if there are several kinds: a figure over all of them describes none."""
        if len(self.parts) > 1:
            raise UserError(
                f"the split {split} mixes {' with '.join(part.counted for part in self.parts)}: a figure over all of "
                "them describes none. Make shards of each in a workspace of its own; or give --pool to have them "
                "counted together, and every table and figure say so"
            )

    def to_json(self) -> list[dict[str, Any]]:
        return [{"kind": part.kind, **vars(part), "cohorts": list(part.cohorts)} for part in self.parts]


def population_of(
    workspace: Workspace, index: ShardIndex, shards: Iterable[IndexedShard], keys: Collection[str] | None = None
) -> Population:
    """Count the mammograms of these shards by kind; with ``keys`` only those.

    A phantom's contrast is that of the cohort that its file lies in; it is unknown where cohort.csv or the phantoms
    are gone.
    """
    cohorts = _Cohorts(workspace.cohort)
    groups: defaultdict[tuple[bool, float | None], list[tuple[str, str]]] = defaultdict(list)
    for facts in _facts(index, shards, keys):
        is_phantom = bool(facts.get("synthetic"))
        cohort = cohorts.of(str(facts["key"])) if is_phantom else None
        contrast = cohort.config.contrast_gain if cohort else None
        groups[is_phantom, contrast].append((str(facts["patient"]), str(cohort or "")))
    parts = [
        Part(
            *kind,
            images=len(held),
            patients=len({patient for patient, _ in held}),
            cohorts=tuple(sorted({cohort for _, cohort in held if cohort})),
        )
        for kind, held in groups.items()
    ]
    return Population(tuple(sorted(parts, key=lambda part: (-part.images, part.kind))))


def _facts(index: ShardIndex, shards: Iterable[IndexedShard], keys: Collection[str] | None) -> Iterator[dict[str, Any]]:
    """Yield the facts of every mammogram that counts. What reads the pixels, later, reports a missing or damaged
    shard."""
    for shard in shards:
        path = index.folder / shard.name
        try:
            with open(path, "rb") as tar:
                held = []
                for sample in shard.samples:
                    if keys is not None and sample.key not in keys:
                        continue
                    with naming(path, sample.key):
                        held.append({"patient": sample.patient, **read_facts(tar, sample), "key": sample.key})
        except (OSError, UserError):
            continue
        yield from held


class _Cohorts:
    """Finds the phantom cohort of a sample by the path of its file in the workspace's table."""

    def __init__(self, table: Path) -> None:
        self._rows = rows_by_key(table) if file_exists(table) else {}
        self._known: dict[Path, PhantomCohort | None] = {}

    def of(self, key: str) -> PhantomCohort | None:
        if key not in self._rows:
            return None
        parent = Path(self._rows[key]["path"]).parent
        if parent not in self._known:
            folder = cohort_folder(parent)
            self._known[parent] = PhantomCohort.of(folder) if folder else None
        return self._known[parent]
