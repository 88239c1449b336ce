"""One real shard to be made adversarial: what decides its pixels, and whether it is up to date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mammogan.attack.config import Background
from mammogan.attack.folder import SETTINGS, AdversarialFolder
from mammogan.attack.insertion_choice import NO_CHOICE, InsertionChoice
from mammogan.io.atomic import Digest
from mammogan.io.hashes import sha256_once
from mammogan.training.run.checkpoint_files import CheckpointFacts
from mammogan.workspace import Direction, Resolution, Workspace


@dataclass(frozen=True)
class ShardTask:
    """One real shard to be made adversarial by one generator; small enough to be pickled for a cluster job."""

    workspace: Workspace
    resolution: Resolution
    direction: Direction
    split: str
    source: str
    """File name of the real shard."""
    source_sha256: str
    count: int
    generator: CheckpointFacts
    out_of_domain: str = ""
    batch: int = 4
    device: str = "auto"
    background: Background = "original"
    choosing: InsertionChoice = NO_CHOICE

    @property
    def folder(self) -> AdversarialFolder:
        return AdversarialFolder(self.workspace, self.resolution)

    @property
    def name(self) -> str:
        """File name of the adversarial shard: test-positive-000003.tar becomes test-remove-000003.tar."""
        return f"{self.split}-{self.direction}-{self.source.rpartition('-')[2]}"

    @property
    def made_from(self) -> dict[str, Any]:
        """Everything that decides the pixels. A shard that was made from the same values need not be made again."""
        return {
            **SETTINGS,
            "source_shard_sha256": self.source_sha256,
            "checkpoint_sha256": self.generator.sha256,
            "background": self.background,
            **self.choosing.made_from,
        }

    def outdated(self, digest: Digest = sha256_once) -> str:
        """Return why the shard has to be made, or "" if it exists, is current and has the bytes that were written."""
        entry = self.folder.entry(self.name)
        if entry is None:
            return "not made yet"
        if entry["count"] != self.count:
            return f"{entry['count']} of {self.count} adversarial mammograms were made"
        if digest(self.folder.path / self.name) != entry["sha256"]:
            return "its file was changed after it was made"
        reasons = {
            "source_shard_sha256": "the real mammograms changed",
            "checkpoint_sha256": "the generator changed",
            "background": f"--background is now {self.background}",
            "tries": f"--tries is now {self.choosing.tries}",
            "seed": f"--seed is now {self.choosing.seed}",
            "places": "lesions were also inserted on the chest wall",
            "choosing_cad_sha256": "the CAD that chooses among tries changed",
            "attacked_cad_sha256": "the CAD that is attacked changed",
            "attack_settings": "the settings of the attack changed",
        }
        changed = [name for name, value in self.made_from.items() if entry["made_from"].get(name) != value]
        return ", ".join(dict.fromkeys(reasons.get(name, "made by another version") for name in changed))
