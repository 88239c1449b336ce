"""Read and write the reading folder, which a server shows without knowing the truth (plan.py says what is in it)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import FOUND, PRIVATE, place_of, replaced_atomically, sha256
from mammogan.io.own_files import file_exists
from mammogan.io.records import read_record, write_record
from mammogan.io.terminal import track
from mammogan.left_by_others import is_litter
from mammogan.reader.plan import ImageFile, ReadingPlan

PLAN, IMAGES, SUFFIX = "reading.json", "images", ".raw"
CHANGED = "was changed after the study was drawn"
WRITTEN_NS = 946_684_800_000_000_000
"""mtime of every image file (2000-01-01 UTC): when a file was written must tell nothing."""


class ChangedImage(UserError):
    """Reports an image that is not the one that was drawn: nobody may see it."""


@dataclass(frozen=True)
class ReadingFolder:
    """The folder of one drawn study."""

    path: Path

    @property
    def plan_file(self) -> Path:
        return self.path / PLAN

    @property
    def complete(self) -> bool:
        """Whether the drawing was finished."""
        return file_exists(self.plan_file)

    def image(self, name: str) -> Path:
        """Return the file of an image. The name must come from the plan, never from a request."""
        return self.path / IMAGES / f"{name}{SUFFIX}"

    def load(self) -> ReadingPlan:
        """Read the plan. Raise MissingInput if the folder is not complete, UserError if the plan cannot be read."""
        if not self.complete:
            raise MissingInput(
                f"{self.path}: no complete reading folder, since it has no {PLAN}; draw the study with\n"
                "  mammogan draw-reading --workspace WORKSPACE\n"
                "or run that command again if it was interrupted"
            )
        values = read_record(self.plan_file, None, "Copy the folder again from where it was drawn")
        return ReadingPlan.from_json(values, str(self.plan_file))

    def faults(self, plan: ReadingPlan, hashes: bool = True) -> Iterator[str]:
        """Yield a sentence for every image file that is missing, of another size, changed, or not in the plan.

        Without ``hashes`` only names and sizes are compared, which reads no pixels.
        """
        listed = {image.name for image in plan.images}
        for path in sorted((self.path / IMAGES).glob("*")):
            if not is_litter(path.name) and (path.suffix != SUFFIX or path.stem not in listed):
                yield f"{IMAGES}/{path.name} is not in {PLAN}"
        images = track(plan.images, len(plan.images), "images compared") if hashes else plan.images
        for image in images:
            file = self.image(image.name)
            if (place := place_of(file)) != "file":
                yield f"{IMAGES}/{file.name} is missing" + ("" if place == "nothing" else f" (found {FOUND[place]})")
            elif (size := file.stat().st_size) != plan.image_bytes:
                yield f"{IMAGES}/{file.name} has {size} bytes, {plan.image_bytes} expected"
            elif hashes and sha256(file) != image.sha256:
                yield f"{IMAGES}/{file.name} {CHANGED}"

    def check(self, plan: ReadingPlan, hashes: bool = True) -> None:
        """Raise UserError, listing all ``faults``, unless the image files are those of the plan."""
        if faults := list(self.faults(plan, hashes)):
            raise UserError(
                f"{self.path} is not as it was drawn:\n  " + "\n  ".join(faults[:20]) + "\n"
                f"{len(faults)} faults in all; copy the folder again from where it was drawn"
            )

    def read_image(self, image: ImageFile) -> bytes:
        """Return the bytes of an image file. Raise ChangedImage unless they are those of the plan; raises OSError."""
        file = self.image(image.name)
        pixels = file.read_bytes()
        if hashlib.sha256(pixels).hexdigest() != image.sha256:
            raise ChangedImage(f"{file} {CHANGED}: copy it again from where it was drawn")
        return pixels

    def write_image(self, name: str, pixels: bytes) -> None:
        """Write one image file, complete or not at all, readable by its owner only."""
        file = self.image(name)
        with replaced_atomically(file, PRIVATE) as own:
            own.write_bytes(pixels)
        os.utime(file, ns=(WRITTEN_NS, WRITTEN_NS))

    def write_plan(self, plan: ReadingPlan) -> None:
        """Write the plan, which completes the folder; readable by its owner only."""
        write_record(self.plan_file, plan.to_json(), PRIVATE)
