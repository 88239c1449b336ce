"""Apply the attack at the detector's size: the generator's change is added to the full-size original.

A shard records where the original lies in it (its placement); cohort.csv, private to the workspace, has the file paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mammogan.attack.config import Background
from mammogan.attack.dicom.folder import cohort_of_originals
from mammogan.attack.original_background import breast_of, with_original_background
from mammogan.data.cohort.workspace_table import rows_by_key
from mammogan.data.dicom.greyscale import TOP
from mammogan.data.dicom.placement import Placement, add_change_to_source, place_pixels
from mammogan.data.dicom.read import Reading, Source, Unusable, read_mammogram
from mammogan.data.shards.reader import Sample
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import is_file
from mammogan.workspace import Workspace

Pixels = NDArray[np.uint16]

ROUNDING = 2
"""Largest difference, in grey values of 65535, between a shard and its original converted again on another machine."""


@dataclass(frozen=True)
class NativePair:
    """An original and its adversarial counterpart: uint16 (h,w), canonical, at the original's own size."""

    real: Pixels
    fake: Pixels


class Originals:
    """The original files that the shards were made from, by key."""

    def __init__(self, workspace: Workspace) -> None:
        self._cohort = cohort_of_originals(workspace)
        self._rows = rows_by_key(self._cohort)

    def pair(self, real: Sample, fake: Sample) -> NativePair:
        """Return both at full size. The adversarial one has the original's air and grey grid if the shard's has them.

        Raise UserError, which names only the key, if the original is not the one in the shard.
        """
        placement = Placement.from_json(real.facts["placement"])
        source = self._read(real.key, real.facts, placement)
        off = np.abs(place_pixels(source.pixels, placement, source.top).astype(np.int32) - real.pixels).max()
        if off > ROUNDING:
            raise self._other(real.key, f"its pixels differ by up to {off} of 65535")
        background: Background = fake.facts["background"]
        original = np.rint(source.pixels).astype(np.uint16)
        free = None if background == "as-generated" else breast_of(original)
        changed = put_back(source.pixels, real.pixels, fake.pixels, placement, source.top, free)
        return NativePair(original, with_original_background(original, changed, background))

    def _read(self, key: str, facts: dict[str, Any], placement: Placement) -> Source:
        row = self._rows.get(key)
        if row is None:
            raise self._other(key, f"{self._cohort} does not list it")
        path = Path(row["path"])
        if not is_file(path):
            raise MissingInput(
                f"the original of {key} is not where {self._cohort} says: bring it back there, or leave --native out"
            )
        try:
            source = read_mammogram(path, row["laterality"], row["view"], Reading.of(facts))
        except Unusable as reason:
            raise self._other(key, f"it cannot be read ({reason.code})") from None
        if (source.pixels.shape, source.flip_h, source.flip_v) != (
            placement.source_shape,
            placement.flip_h,
            placement.flip_v,
        ):
            raise self._other(key, "its size or orientation differs")
        return source

    def _other(self, key: str, found: str) -> UserError:
        return UserError(
            f"the original of {key} is not what its shard was made from: {found}. Make the shards again with "
            "mammogan make-shards --overwrite, or leave --native out"
        )


def put_back(
    canonical: NDArray[np.float32],
    real: Pixels,
    fake: Pixels,
    placement: Placement,
    top: float = TOP,
    free: NDArray[np.bool_] | None = None,
) -> Pixels:
    """Add the change from ``real`` to ``fake`` (H,W) to ``canonical`` (h,w), in [0,top]; uint16, rounded half to even.

    Only pixels in ``free`` may change (None: all).
    """
    change = fake.astype(np.float32) - real.astype(np.float32)
    return np.rint(add_change_to_source(canonical, change, placement, top, free)).astype(np.uint16)
