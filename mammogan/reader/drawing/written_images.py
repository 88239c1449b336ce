"""Writes the images of a drawing, and remembers their sha256 until it is complete: one that changed is made again."""

from __future__ import annotations

import hashlib
import re

from mammogan.io.atomic import PRIVATE, is_file, sha256, write_text
from mammogan.io.own_files import file_exists
from mammogan.reader.folder import ReadingFolder

NAME = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  ([0-9a-f]{32})")


class WrittenImages:
    """The images of a folder that this drawing wrote, also before it was interrupted."""

    def __init__(self, folder: ReadingFolder) -> None:
        self._folder, self._file = folder, folder.path / NAME
        text = self._file.read_text("utf-8", "replace") if file_exists(self._file) else ""
        self._sha256 = {match[2]: match[1] for line in text.splitlines() if (match := LINE.fullmatch(line))}
        known = [f"{digest}  {name}\n" for name, digest in self._sha256.items()]
        write_text(self._file, "".join(known), PRIVATE)  # a line that was cut must not take the next one with it

    def has(self, name: str) -> bool:
        """Return whether an image is there, as it was written."""
        file = self._folder.image(name)
        return name in self._sha256 and is_file(file) and sha256(file) == self._sha256[name]

    def write(self, name: str, pixels: bytes) -> None:
        """Write an image, and before it its sha256."""
        self._sha256[name] = hashlib.sha256(pixels).hexdigest()
        with open(self._file, "a", encoding="utf-8") as file:
            file.write(f"{self._sha256[name]}  {name}\n")
        self._folder.write_image(name, pixels)

    def sha256_of(self, name: str) -> str:
        """Return the sha256 of an image as it was written."""
        return self._sha256[name]

    def forget(self) -> None:
        """Delete the list: the plan has every sha256."""
        self._file.unlink(missing_ok=True)
