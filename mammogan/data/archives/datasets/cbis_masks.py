"""Read the lesion masks that CBIS-DDSM has beside its films, one folder an abnormality: <film>_<number>.

In this folder are a mask of the film's size and a picture cut out around the lesion. Their descriptions are exchanged
in some folders, so the pixels decide: a mask has two values. A film can be in both sets, masses and calcifications;
then the masks of the copy that is not used count too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from mammogan.data.archives.base import Found
from mammogan.data.archives.candidates import Image
from mammogan.data.archives.datasets.cbis_ddsm import FILM, TABLE
from mammogan.data.archives.header import pixels_digest
from mammogan.data.archives.tables import number
from mammogan.data.dicom.unusable import Unusable
from mammogan.data.parallel.pool import Lost, in_order, processes
from mammogan.data.regions.lesion_region import Film, LesionRegion, Refused
from mammogan.data.regions.mask_file import MaskFile, read_mask
from mammogan.io.terminal import track

MASK_BYTES = 500 << 20
"""Memory that one process needs to read a mask, in bytes."""
NUMBER = "abnormality_id"
"""Column of the tables that numbers the lesions of a film, as their folders do."""
CATEGORIES = {"mass": "mass", "calc": "calcification"}
SIDES = {"left": "L", "right": "R"}
Targets = dict[str, list[tuple[Film, bool]]]
"""By the name of a film: the used films of its breast and view, each with whether it is the same picture."""


@dataclass(frozen=True)
class Abnormality:
    """One lesion in the archive's numbering; ``film`` is the name of its film, such as mass-test_p_00001_left_cc."""

    film: str
    number: str


def read(
    found: Found, images: Sequence[Image], films: Mapping[str, Film], jobs: int, seconds: float | None
) -> Iterator[LesionRegion]:
    """Yield the mask of each lesion of a film in ``films``, by its path, or why it is not used."""
    for table in found.matching(TABLE):
        if NUMBER not in table.columns:
            why = f"expected the column {NUMBER}, found none of that name, so a lesion without a mask is not noticed"
            yield LesionRegion(None, table.path.name, refused="unread", detail=why)
    parts = {image.path.as_posix(): part for image in images if (part := _part_of(image))}
    targets = _targets(found.root, [image for image in images if image.path.as_posix() not in parts], films)
    yield from (LesionRegion(None, path, refused="no_film") for path, p in parts.items() if p.film not in targets)
    wanted = [(path, part) for path, part in parts.items() if targets.get(part.film)]
    settled = set()
    for (path, part), mask in zip(wanted, _masks(found.root, wanted, jobs, seconds), strict=True):
        if isinstance(mask, Lost) or not mask.is_picture:
            settled.add(part)
            yield from (_region(film, same, path, part, mask) for film, same in targets[part.film])
    yield from _without_mask(dict.fromkeys([*(part for _, part in wanted), *_listed(found)]), settled, targets)


def _without_mask(parts: Iterable[Abnormality], settled: Set[Abnormality], targets: Targets) -> Iterator[LesionRegion]:
    """Yield the lesions that have no mask, or whose film is not here, while a film of the same view is used."""
    of_view = {_view_of(name): there for name, there in targets.items() if there}
    for part in parts:
        if part not in settled:
            is_here = part.film in targets
            drawn_on = targets[part.film] if is_here else of_view.get(_view_of(part.film), ())
            name, why = f"{part.film}_{part.number}", "no_outline" if is_here else "no_film"
            yield from (LesionRegion(film, name, refused=why) for film, _ in drawn_on)


def _masks(
    root: Path, wanted: Sequence[tuple[str, Abnormality]], jobs: int, seconds: float | None
) -> Iterable[MaskFile | Lost]:
    if not wanted:
        return []
    paths = [root / path for path, _ in wanted]
    found = in_order(read_mask, paths, min(processes(jobs, MASK_BYTES), len(paths)), seconds)
    return track(found, len(paths), "masks read")


def _part_of(image: Image) -> Abnormality | None:
    """Return the abnormality that a file belongs to by its PatientID or its folder; None for a complete film."""
    match = next(filter(None, (FILM.fullmatch(part) for part in (image.header.patient, *image.path.parts))), None)
    if match is None or not match[6]:
        return None
    return Abnormality(match[0].lower().removesuffix(match[6]), match[6].removeprefix("_"))


def _targets(root: Path, images: Sequence[Image], films: Mapping[str, Film]) -> Targets:
    used: defaultdict[str, list[Image]] = defaultdict(list)
    for image in images:
        if image.path.as_posix() in films:
            used[_view_of(image.key)].append(image)
    targets: Targets = {}
    for image in images:
        there = used[_view_of(image.key)]
        same = [other for other in there if other is image or _are_copies(root, image, other)]
        if image.key and not targets.get(image.key):
            targets[image.key] = [(films[other.path.as_posix()], bool(same)) for other in same or there]
    return targets


def _view_of(name: str) -> str:
    """Return the woman, side and view of a film's name, without the set."""
    return name.partition("_")[2]


def _are_copies(root: Path, one: Image, other: Image) -> bool:
    try:
        return pixels_digest(root / one.path) == pixels_digest(root / other.path)
    except (OSError, Unusable):
        return False


def _listed(found: Found) -> Iterator[Abnormality]:
    """Yield the abnormalities of the tables, so that a lesion without any mask is noticed."""
    for table in found.matching(TABLE):
        for row in table.rows() if NUMBER in table.columns else ():
            if match := FILM.search(row["image_file_path"]):
                of_film = number(row.get(NUMBER, ""))
                yield Abnormality(match[0].lower(), "without a number" if of_film is None else str(of_film))


def _region(film: Film, same: bool, path: str, part: Abnormality, mask: MaskFile | Lost) -> LesionRegion:
    kind, side = part.film.partition("-")[0], part.film.split("_")[-2]
    try:
        if isinstance(mask, Lost):
            raise Refused("unreadable", mask.why)
        if mask.refused:
            raise Refused(mask.refused, mask.detail)
        if SIDES.get(side) != film.laterality:
            raise Refused("side", f"{side}, the film {film.laterality}")
        if mask.shape != film.shape:
            raise Refused("size", f"{mask.shape[0]} x {mask.shape[1]}, the film {film.shape[0]} x {film.shape[1]}")
        if not same:
            raise Refused("other_film")
    except Refused as error:
        return LesionRegion.left_out(film, path, error)
    return LesionRegion(film, path, CATEGORIES[kind], mask.runs)
