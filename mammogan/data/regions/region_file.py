"""The private file of lesion regions beside a cohort table, and the one in a workspace, by the key of each sample.

Films are named by their paths within the archive, so the archive may be moved. Each lesion has its pixels as runs in
the stored frame of its film, so that nobody who uses the file needs the archive.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mammogan.data.cohort.table import LESION_REGIONS
from mammogan.data.regions.lesion_region import REASONS, Film, LesionRegion
from mammogan.data.regions.runs import from_text
from mammogan.errors import UserError
from mammogan.io import tables as table_files
from mammogan.io.atomic import PRIVATE, is_file
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


def read_beside(table: Path) -> dict[str, Any] | None:
    """Read the regions beside a cohort table, of the shape SCANNED; None if it has none.

    Raise UserError if the file is damaged or others may read it, and if it is lost: the table counts regions.
    """
    if file_exists(path := regions_beside(table)):
        return _read_scanned(path)
    if is_file(table):
        header, *lines = table_files.read_lines(table)
        names = [name.strip().lower() for name in header.cells]
        if said := sum(bool(table_files.row_of(names, line).get(LESION_REGIONS)) for line in lines):
            raise _lost(table, said)
    return None


def _lost(table: Path, said: int) -> UserError:
    return UserError(
        f"{regions_beside(table)}: expected the lesion regions of {said} mammograms, which the column {LESION_REGIONS} "
        f"of {table.name} counts; found no such file. Bring it back, or repeat mammogan scan, which writes it beside "
        "the cohort table; to go on without lesion regions, take that column out of the table"
    )


def pass_on(tables: Sequence[Path], out: Path) -> None:
    """Write the regions beside ``tables`` beside a table that was made of them; take away what was beside it.

    Raise UserError if those of a table are lost or damaged.
    """
    held = [scanned for table in tables if (scanned := read_beside(table))]
    path = regions_beside(out)
    if held:
        joined = {name: [entry for values in held for entry in values[name]] for name in SCANNED}
        write_record(path, joined, PRIVATE)
    else:
        path.unlink(missing_ok=True)


def read_again(table: Path, films: Mapping[str, Path]) -> Iterator[LesionRegion]:
    """Yield the regions beside a cohort table that is scanned again, for the ``films``, absolute paths by their name.

    Raise UserError as ``read_beside`` does.
    """
    if scanned := read_beside(table):
        for name, held in _matched(scanned["films"], films)[0].items():
            film = Film(name, (held["height"], held["width"]), held["laterality"])
            for lesion in held["lesions"]:
                yield LesionRegion(film, table.name, lesion["category"], lesion["runs"])
            for region in held["refused"]:
                yield LesionRegion(film, region["source"], refused=region["refused"], detail=region["detail"])


@dataclass(frozen=True)
class Carried:
    """How many mammograms of a workspace have regions, and how many could be of several and so have none."""

    mammograms: int
    ambiguous: int


def carry(table: Path, files: Mapping[str, Path], said: Mapping[str, int], held: Path) -> Carried | None:
    """Write the regions beside a cohort table into a workspace, in ``held``, by the key of each sample.

    ``files`` are the absolute paths of the mammograms by key, and ``said`` the lines of the table's rows that count
    regions. Without regions beside the table nothing is written. Raise UserError if the file is damaged or others may
    read it, and if it lacks what the table counts, and the workspace too.
    """
    if not file_exists(path := regions_beside(table)):
        if said.keys() - (read_carried(held, files) if file_exists(held) else {}):
            raise _lost(table, len(said))
        return None
    entries, ambiguous = _matched(_read_scanned(path)["films"], files)
    if lost := [line for key, line in said.items() if key not in entries]:
        raise UserError(
            f"{path}: expected the lesion regions of all {len(said)} mammograms that the column {LESION_REGIONS} of "
            f"{table.name} counts some of; found none for {len(lost)} of them, such as line {lost[0]}. Either it "
            "belongs to another table, or files were renamed since the scan: bring back the one that was written with "
            f"{table.name}, or repeat mammogan scan, which writes both; to go on without these regions, empty the "
            "cells of that column"
        )
    write_record(held, {"samples": entries}, PRIVATE)
    return Carried(len(entries) - ambiguous, ambiguous)


def _matched(films: Sequence[Entry], files: Mapping[str, Path]) -> tuple[dict[str, Entry], int]:
    """Return the films by key: each file's path must end with that of one film, and of no other file the same one.

    Of a file that could be of several films, or shares its film, the regions are not known; these are counted.
    """
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    parts = [PurePosixPath(film["path"]).parts for film in films]
    for number, path in enumerate(parts):
        by_name[path[-1]].append(number)
    fitting = {
        key: [n for n in by_name.get(file.name, ()) if file.parts[-len(parts[n]) :] == parts[n]]
        for key, file in files.items()
    }
    uses = Counter(number for numbers in fitting.values() for number in numbers)
    entries, ambiguous = {}, 0
    for key, numbers in fitting.items():
        if numbers:
            entries[key] = {name: value for name, value in films[numbers[0]].items() if name != "path"}
        if len(numbers) > 1 or any(uses[number] > 1 for number in numbers):
            unknown = {"source": "", "refused": "ambiguous", "detail": ""}
            entries[key] |= {"lesions": [], "refused": [unknown]}
            ambiguous += 1
    return entries, ambiguous


def read_carried(held: Path, keys: Collection[str], said: Collection[str] = ()) -> dict[str, Entry]:
    """Read the regions of a workspace by key. Raise UserError if the file is damaged, or others may read it.

    ``keys`` are those of the workspace's mammograms, and ``said`` those that must have regions. A file that has others,
    or lacks some of these, is of another workspace, and is refused.
    """
    samples: dict[str, Entry] = _read(held, {"samples": dict}, MAKE_AGAIN)["samples"]
    try:
        for number, entry in enumerate(samples.values()):
            check_shape(entry, FILM, f"samples[{number}]")
            _check_film(entry, f"samples[{number}]")
    except Misfit as error:
        raise DamagedRecord(held, str(error), MAKE_AGAIN) from None
    others, lost = len(samples.keys() - set(keys)), len(set(said) - samples.keys())
    if others or lost:
        found = f"{others} of {len(samples)} that are of others" if others else f"none of {lost} of them"
        raise UserError(
            f"{held}: expected the lesion regions of this workspace's own mammograms, as cohort.csv lists them; found "
            f"{found}, so the file is of another workspace, or of an earlier table. {MAKE_AGAIN}"
        )
    return samples


def _read_scanned(path: Path) -> dict[str, Any]:
    """Read the regions beside a cohort table. Raise UserError if the file is damaged, or others may read it."""
    values = _read(path, SCANNED, SCAN_AGAIN)
    try:
        for number, film in enumerate(values["films"]):
            _check_film(film, f"films[{number}]")
            within = PurePosixPath(film["path"])
            if not within.parts or within.is_absolute() or ".." in within.parts:
                raise Misfit(f"films[{number}].path: expected a path within the archive, found none that is one")
    except Misfit as error:
        raise DamagedRecord(path, str(error), SCAN_AGAIN) from None
    return values


def _check_film(film: Entry, where: str) -> None:
    """Raise Misfit if the frame of a film is none, or if one of its lesions does not lie in it."""
    shape = film["height"], film["width"]
    if min(shape) < 1 or film["laterality"] not in ("L", "R"):
        raise Misfit(f"{where}: expected height, width and side of a film, found others")
    if any(region["refused"] not in REASONS for region in film["refused"]):
        raise Misfit(f"{where}: expected a known reason why a region is not used, found another")
    try:
        for lesion in film["lesions"]:
            from_text(lesion["runs"], shape)
    except ValueError:
        raise Misfit(f"{where}: expected the pixels of a lesion as runs within the film, found others") from None


def _read(path: Path, shape: Any, remedy: str) -> dict[str, Any]:
    try:
        values = parse_record(read_private(path), sealed=True)
        check_shape(values, shape)
    except Misfit as error:
        raise DamagedRecord(path, str(error), remedy) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return values
