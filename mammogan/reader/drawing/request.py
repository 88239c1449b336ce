"""What is drawn for one group of readers: the options, the resolution and the places of its files."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mammogan.reader.config import DrawConfig
from mammogan.reader.drawing.draw import Rules
from mammogan.reader.drawing.pool import Pool
from mammogan.reader.folder import ReadingFolder
from mammogan.workspace import Resolution, Workspace

Group = Literal["high", "low"]
NOT_OF_THE_IMAGES = ("name", "readers", "low_readers", "resolution", "low_resolution", "texts", "allow_cues")


@dataclass(frozen=True)
class Request:
    """One reading folder to be drawn: of the readers of one resolution."""

    workspace: Workspace
    config: DrawConfig
    group: Group
    resolution: Resolution
    texts: dict[str, str]

    @property
    def title(self) -> str:
        return self.config.title if self.group == "high" else self.config.low_title

    @property
    def readers(self) -> tuple[str, ...]:
        return self.config.readers if self.group == "high" else self.config.low_readers

    @property
    def key_file(self) -> Path:
        return self.workspace.reading_key(self.title)

    @property
    def same_images(self) -> bool:
        """Whether the images are those of the high resolution's plan."""
        return self.group == "low" and self.config.low_same_images

    @property
    def folder(self) -> ReadingFolder:
        return ReadingFolder(self.workspace.reading(self.title))

    @property
    def rules(self) -> Rules:
        return Rules(self.config.scale, self.config.session_4_overlap, self.config.education == "feedback")

    def made_from(self, pool: Pool) -> dict[str, Any]:
        """Return everything that decides the folder: the options, the texts and the shards."""
        options = dataclasses.asdict(self.config)
        options = {name: value for name, value in options.items() if name not in NOT_OF_THE_IMAGES}
        return {
            **options,
            "readers": list(self.readers),
            "resolution": str(self.resolution),
            "texts": self.texts,
            "low_same_images": self.same_images,
            **pool.made_from,
        }
