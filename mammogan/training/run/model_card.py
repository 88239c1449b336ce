"""What a checkpoint says of itself: what it was trained on, in numbers, what it is for, and what it is not for.

Weights travel without their run folder. Those that do not say on what they were trained are of unknown origin.
"""

from __future__ import annotations

from typing import Any

import mammogan
from mammogan.data.inspect.population import population_of
from mammogan.data.shards.index import ShardIndex
from mammogan.workspace import SPLITS, Resolution, Workspace

CARD = "card"
"""Name of the model card in a checkpoint."""
CLASSIFIES = "classifier: the probability that a mammogram shows cancer"
GENERATES = "generator: changes a mammogram so that a classifier is to call it {target}"
INTENDED = "research on whether classifiers of mammograms, and their readers, can be fooled"
NOT_FOR = "clinical use: neither to read mammograms of patients, nor to be near a system that holds them"
MEMORY = "not measured: whether its outputs reveal mammograms that it was trained on is not known"


def model_card(what: str, workspace: Workspace, resolution: Resolution) -> dict[str, Any]:
    """Return the card of a network that is trained on the shards of this resolution: plain values, the same on every
    rank."""
    index = ShardIndex.load(workspace.shards(resolution))
    trained = population_of(workspace, index, index.of_split("train"))
    return {
        "what": what,
        "intended_use": INTENDED,
        "not_for": NOT_FOR,
        "memorised_training_images": MEMORY,
        "mammogan": mammogan.__version__,
        "resolution": str(resolution),
        "trained_on": {
            "shards_sha256": index.fingerprint,
            "mammograms": [part.counted for part in trained.parts],
            "counts": {split: dict(index.counts[split]) for split in SPLITS if split in index.counts},
            "patients": {split: _patients(index, split) for split in SPLITS},
            "conversion": index.settings,
        },
    }


def _patients(index: ShardIndex, split: str) -> int:
    return len({sample.patient for shard in index.of_split(split) for sample in shard.samples})


def shards_of_card(state: dict[str, Any]) -> str | None:
    """Return the fingerprint of the shards that a checkpoint says it was trained on; None if it says nothing."""
    card = state.get(CARD)
    trained_on = card.get("trained_on") if isinstance(card, dict) else None
    found = trained_on.get("shards_sha256") if isinstance(trained_on, dict) else None
    return found if isinstance(found, str) else None
