"""Measure whether a single number reveals adversarial images: the AUC of each forensic number alone, against
originals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from mammogan.evaluation.forensics.measures import Forensics
from mammogan.evaluation.scores import Scored
from mammogan.workspace import Direction

NAMES = tuple(field.name for field in fields(Forensics))
ARTEFACTS = ("zeros", "minimum", "breast_minimum", "off_grid", "corner", "distinct")
"""Numbers that do not depend on the breast: traces of how the image was made. The others are only reported."""
BOUND = 0.75
"""The AUC of every artefact has to stay below this."""


def giveaways(scored: Sequence[Scored]) -> dict[str, Any]:
    """Return, for each direction, the numbers of images and two AUCs of each forensic number: against the originals
    that the images were made from, and against originals of the class that they should seem to have."""
    return {str(direction): _of_direction(scored, direction) for direction in Direction}


def _of_direction(scored: Sequence[Scored], direction: Direction) -> dict[str, Any]:
    pairs = [(s.real.label, s.forensics) for s in scored if s.forensics]
    own = [pair for label, pair in pairs if label == direction.source and pair.fake]
    fakes = [pair.fake for pair in own if pair.fake]
    sources = [pair.real for pair in own]
    pretended = [pair.real for label, pair in pairs if label == direction.target]
    numbers = {
        name: {"of_sources": _separation(fakes, sources, name), "of_pretended": _separation(fakes, pretended, name)}
        for name in NAMES
    }
    return {"images": len(fakes), "sources": len(sources), "pretended": len(pretended), "auc": numbers}


def _separation(fakes: Sequence[Forensics], originals: Sequence[Forensics], name: str) -> float | None:
    """Return max(AUC, 1 - AUC) of one number; None if either side has no values."""
    fake, real = ([v for image in images if (v := getattr(image, name)) is not None] for images in (fakes, originals))
    if not fake or not real:
        return None
    is_fake = np.repeat([True, False], [len(fake), len(real)])
    auc = float(roc_auc_score(is_fake, fake + real))
    return max(auc, 1 - auc)
