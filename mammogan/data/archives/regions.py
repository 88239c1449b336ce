"""Collect the lesion regions of an archive's films and write them beside the cohort table, in a private file."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammogan.data.archives.base import Archive, Found
from mammogan.data.archives.candidates import Image
from mammogan.data.archives.datasets import cbis_masks, inbreast_outlines, vindr_boxes
from mammogan.data.regions.lesion_region import REASONS, Film, LesionRegion
from mammogan.data.regions.region_file import read_again, regions_beside, write_scanned

ARE_IN = {"vindr": vindr_boxes.TABLE.usual_name, "inbreast": f"{inbreast_outlines.FOLDER}/", "cbis-ddsm": "its masks"}
"""Where an archive has its regions, by its name; the others have none."""


@dataclass(frozen=True)
class RegionReport:
    """The numbers of an archive's regions. ``films``: used images; ``positive``: those with the label positive."""

    lesions: dict[str, int]
    """By category."""
    films: int
    positive: tuple[int, int]
    """Positive images with regions that are all used, and all positive images."""
    refused: dict[str, int]
    unread: tuple[str, ...]
    """Tables and folders of regions that were not read, each with the reason."""
    by_film: dict[str, int]
    """Number of regions of each film, used or not, by its path."""
    incomplete: int
    """Images of which a region is not used, so that where their lesions are is not known."""
    path: Path

    @classmethod
    def of(cls, found: Sequence[LesionRegion], images: Sequence[Image], path: Path) -> RegionReport:
        """Count the regions of a scan's used ``images``."""
        incomplete = {region.film.path for region in found if region.film and region.refused}
        films = {region.film.path for region in found if region.film} - incomplete
        positive = [image.path.as_posix() for image in images if image.label == "positive" and not image.reason]
        return cls(
            lesions=dict(Counter(region.category for region in found if not region.refused).most_common()),
            films=len(films),
            positive=(sum(film in films for film in positive), len(positive)),
            refused=dict(Counter(region.refused for region in found if region.refused)),
            unread=tuple(f"{region.source}: {region.detail}" for region in found if region.refused == "unread"),
            by_film=dict(Counter(region.film.path for region in found if region.film)),
            incomplete=len(incomplete),
            path=path,
        )

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report."""
        kinds = ", ".join(f"{category} {number}" for category, number in self.lesions.items()) or "none"
        yield (
            f"regions: {sum(self.lesions.values())} lesions ({kinds}); they are known in {self.films} images, in "
            f"{self.positive[0]} of {self.positive[1]} positive ones"
        )
        for what in self.unread:
            yield f"  not read, so lesions may be missing: {what}"
        for code, number in sorted(self.refused.items()):
            if code != "unread":
                yield f"  {number} regions left out: {code}, {REASONS[code]}"
        if self.incomplete:
            yield f"  {self.incomplete} images have such a region, so where their lesions are counts as not known"
        yield f"  which ones (private): {self.path}"


def write_regions(
    found: Found, archive: Archive, images: Sequence[Image], out: Path, jobs: int, seconds: float | None
) -> RegionReport | None:
    """Write the regions of the used images beside the cohort table ``out``; None if the archive has none.

    A file of regions that was beside ``out`` is replaced or taken away. What is wrong with a region is reported and
    never raised. Raise UserError if those of an earlier scan, whose table is scanned again, are lost or damaged.
    """
    regions = list(_read(found, archive, images, jobs, seconds))
    if not regions:
        regions_beside(out).unlink(missing_ok=True)
        return None
    return RegionReport.of(regions, images, write_scanned(out, regions))


def _read(
    found: Found, archive: Archive, images: Sequence[Image], jobs: int, seconds: float | None
) -> Iterator[LesionRegion]:
    films = {
        (path := image.path.as_posix()): Film(path, (image.header.rows, image.header.columns), image.laterality)
        for image in images
        if not image.reason
    }
    of_key: dict[str, Film | None] = {}
    for image in images:
        if image.key:  # of several files of one image, the used one
            of_key[image.key] = of_key.get(image.key) or films.get(image.path.as_posix())
    if archive.is_own:  # its table may be that of an earlier scan
        paths = {name: (found.root / name).absolute() for name in films}
        return itertools.chain.from_iterable(read_again(table.path, paths) for table in found.tables)
    if archive.name == "vindr":
        return vindr_boxes.read(found, of_key)
    if archive.name == "inbreast":
        return inbreast_outlines.read(found, of_key)
    if archive.name == "cbis-ddsm":
        return cbis_masks.read(found, images, films, jobs, seconds)
    return iter(())
