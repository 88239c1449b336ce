"""Find the phantom cohort that a file belongs to, and what its masses' contrast is. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from mammogan.data.phantom.settings import PhantomConfig
from mammogan.errors import UserError
from mammogan.io.atomic import place_of
from mammogan.io.own_files import file_exists
from mammogan.io.records import DamagedRecord, read_record

ALL_DRAWN_AGAIN = "Delete the folder of the phantoms and draw them again: mammogan make-phantom with the same settings"
LEVELS_UP = 3
"""Number of folders, from a file's own upwards, in which a cohort's files are looked for."""


def cohort_folder(folder: Path, holding: str = "settings.json") -> Path | None:
    """Return the nearest folder, from ``folder`` upwards, that holds this file of a phantom cohort.

    Raise UserError where a folder or a broken link is in the place of that file.
    """
    candidates = (folder, *folder.parents[: LEVELS_UP - 1])
    return next((candidate for candidate in candidates if _holds(candidate / holding)), None)


def _holds(path: Path) -> bool:
    """Return whether a phantom cohort's file is there. The folders of patients' files are looked into as well, and
    those that cannot be looked into hold none."""
    return place_of(path) not in ("closed", "no answer") and file_exists(path)


@dataclass(frozen=True)
class PhantomCohort:
    """How the phantoms of one folder were drawn."""

    name: str
    """Name of the folder."""
    config: PhantomConfig

    @classmethod
    def of(cls, folder: Path) -> PhantomCohort | None:
        """Return the cohort that was drawn into ``folder``; None if its settings.json is no record of one.

        Raises UserError if settings.json is damaged, or lacks some of the settings: their defaults may be untrue.
        """
        path = folder / "settings.json"
        held = read_record(path, remedy=ALL_DRAWN_AGAIN)
        names = [field.name for field in fields(PhantomConfig)]
        if (lost := [name for name in names if name not in held]) and {*held} <= {*names, "generator"}:
            raise DamagedRecord(path, f"it does not say {', '.join(lost)}", ALL_DRAWN_AGAIN)
        try:
            return cls(folder.name, PhantomConfig(**{name: held[name] for name in held if name != "generator"}))
        except (TypeError, UserError):
            return None

    def __str__(self) -> str:
        drawn = self.config
        return (
            f"{self.name}: {drawn.patients} phantom patients, preset {drawn.preset}, lesion contrast "
            f"{contrast_text(drawn.contrast_gain)}, seed {drawn.seed}"
        )


def contrast_text(gain: float | None) -> str:
    """Return the contrast of masses as a multiple of the physical one, such as 'x12.5'; None is unknown."""
    return "unknown" if gain is None else f"x{gain:g}"
