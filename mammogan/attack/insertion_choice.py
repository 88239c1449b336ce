"""Record what decides an attack's pixels besides its generator: tries, seed and CAD, or an own attack's settings."""

from __future__ import annotations

from dataclasses import dataclass

from mammogan.errors import MissingInput
from mammogan.io.atomic import Digest, sha256
from mammogan.training.run.cad_source import CadSource
from mammogan.training.run.checkpoint_files import CheckpointFacts
from mammogan.training.run.preflight import check_cad_class


@dataclass(frozen=True)
class InsertionChoice:
    """How one of several insertions is chosen. A network gives only one result, so it needs no tries."""

    tries: int = 0
    seed: int = 0
    cad: CadSource | None = None
    """The CAD that scores the tries, or is attacked; None if there is only one try."""
    cad_sha256: str = ""
    settings: str = ""
    """Settings of an attack of your own, as JSON."""

    @classmethod
    def of(
        cls, generator: CheckpointFacts, tries: int, seed: int, cad: CadSource, digest: Digest = sha256
    ) -> InsertionChoice:
        """Return the settings for a generator: NO_CHOICE unless it is a lesion bank. Raise MissingInput if a
        CAD is needed and missing."""
        if generator.arch != "transplant":
            return NO_CHOICE
        if tries == 1:
            return cls(1, seed)
        if not cad.is_there:
            raise MissingInput(
                f"no CAD in {cad.path}, and --tries {tries} needs it to choose a lesion; train it (mammogan "
                "train-cad), or give --tries 1"
            )
        check_cad_class(cad)
        return cls(tries, seed, cad, cad.sha256(digest))

    @property
    def made_from(self) -> dict[str, str | int]:
        """The values that decide the pixels, by name; empty for a network."""
        if self == NO_CHOICE:
            return {}
        if self.settings:
            return {"attack_settings": self.settings, "attacked_cad_sha256": self.cad_sha256}
        return {"tries": self.tries, "seed": self.seed, "places": PLACES, "choosing_cad_sha256": self.cad_sha256}


NO_CHOICE = InsertionChoice()
PLACES = 2
"""Version of the choice of places. Increase it when the same inputs insert lesions elsewhere. Version 1, which is not
recorded, put lesions on the chest wall too."""
