"""The private file of lesion regions beside a cohort table, and the one in a workspace, by the key of each sample.

Films are named by their paths within the archive, so the archive may be moved. Each lesion has its pixels as runs in
the stored frame of its film, so that nobody who uses the file needs the archive.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mammogan.data.regions.lesion_region import LesionRegion
from mammogan.errors import UserError
from mammogan.io.atomic import PRIVATE
from mammogan.io.own_files import file_exists
from mammogan.io.private import read_private
from mammogan.io.records import DamagedRecord, Misfit, check_shape, parse_record, write_record

LESION = {"category": str, "runs": str}
REFUSED = {"source": str, "refused": str, "detail": str}
FILM = {"height": int, "width": int, "laterality": str, "lesions": [LESION], "refused": [REFUSED]}
SCANNED = {"films": [{"path": str, **FILM}], "without_film": [REFUSED]}
Entry = dict[str, Any]
"""What is held of one film, of the shape FILM."""
SCAN_AGAIN = "Delete it, and repeat mammogan scan, which writes it beside the cohort table"
MAKE_AGAIN = "Delete it, and repeat mammogan make-shards, which takes it from beside the cohort table"


def regions_beside(table: Path) -> Path:
    """Return the path of the file of regions beside a cohort table."""
    return table.with_name(f"{table.stem}.regions.json")


def write_scanned(table: Path, found: Sequence[LesionRegion]) -> Path:
    """Write the regions of a scan, mode 600, and return the file."""
    films: dict[str, Entry] = {}
    without: list[Entry] = []
    for region in found:
        refused = {"source": region.source, "refused": region.refused, "detail": region.detail}
        if region.film is None:
            without.append(refused)
            continue
        film, (height, width) = region.film, region.film.shape
        held = {"height": height, "width": width, "laterality": film.laterality, "lesions": [], "refused": []}
        entry = films.setdefault(film.path, {"path": film.path, **held})
        if region.refused:
            entry["refused"].append(refused)
        else:
            entry["lesions"].append({"category": region.category, "runs": region.runs})
    path = regions_beside(table)
    write_record(path, {"films": list(films.values()), "without_film": without}, PRIVATE)
    return path


def pass_on(tables: Iterable[Path], out: Path) -> None:
    """Write the regions beside ``tables`` beside a table that was made of them; take away what was beside it."""
    held = [_read(path, SCANNED, SCAN_AGAIN) for table in tables if file_exists(path := regions_beside(table))]
    path = regions_beside(out)
    if held:
        joined = {name: [entry for values in held for entry in values[name]] for name in SCANNED}
        write_record(path, joined, PRIVATE)
    else:
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Carried:
    """How many mammograms of a workspace have regions, and how many could be of several and so have none."""

    mammograms: int
    ambiguous: int


def carry(table: Path, files: Mapping[str, Path], held: Path) -> Carried | None:
    """Write the regions beside a cohort table into a workspace, in ``held``, by the key of each sample.

    ``files`` are the absolute paths of the mammograms by key. Without regions beside the table nothing is written.
    Raise UserError if the file is damaged, or others may read it.
    """
    if not file_exists(path := regions_beside(table)):
        return None
    entries, ambiguous = _matched(_read(path, SCANNED, SCAN_AGAIN)["films"], files)
    write_record(held, {"samples": entries}, PRIVATE)
    return Carried(len(entries), ambiguous)


def _matched(films: Sequence[Entry], files: Mapping[str, Path]) -> tuple[dict[str, Entry], int]:
    """Return the films by key: each file's path must end with that of one film, and of no other file the same one."""
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    parts = [PurePosixPath(film["path"]).parts for film in films]
    for number, path in enumerate(parts):
        by_name[path[-1]].append(number)
    fitting = {
        key: [n for n in by_name.get(file.name, ()) if file.parts[-len(parts[n]) :] == parts[n]]
        for key, file in files.items()
    }
    uses = Counter(number for numbers in fitting.values() for number in numbers)
    sure = {key: numbers[0] for key, numbers in fitting.items() if len(numbers) == 1 and uses[numbers[0]] == 1}
    entries = {
        key: {name: value for name, value in films[number].items() if name != "path"} for key, number in sure.items()
    }
    return entries, sum(bool(numbers) for numbers in fitting.values()) - len(sure)


def read_carried(held: Path) -> dict[str, Entry]:
    """Read the regions of a workspace by key. Raise UserError if the file is damaged, or others may read it."""
    values = _read(held, {"samples": dict}, MAKE_AGAIN)
    try:
        for entry in values["samples"].values():
            check_shape(entry, FILM)
    except Misfit as error:
        raise DamagedRecord(held, str(error), MAKE_AGAIN) from None
    samples: dict[str, Entry] = values["samples"]
    return samples


def _read(path: Path, shape: Any, remedy: str) -> dict[str, Any]:
    try:
        values = parse_record(read_private(path))
        check_shape(values, shape)
    except Misfit as error:
        raise DamagedRecord(path, str(error), remedy) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return values
