"""Summarise, over many mammograms, whether the attack changes the lesion: removals, insertions and controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mammogan.data.blobs.blob_detector import blob_threshold
from mammogan.evaluation.lesion.controls import IDENTITY, NAMES, TWIN, ControlScore
from mammogan.evaluation.phantom_truth import Removal
from mammogan.evaluation.scores import Change, Scored
from mammogan.statistics.bootstrap import Resampling
from mammogan.statistics.clustered import clustered_share
from mammogan.statistics.figure import Figure
from mammogan.workspace import Direction

GENERATOR = "generator"
WAY = "way"
"""What table1.json calls the progress to the twin."""
CLOSER_DB = 3.0
"""Minimum approach to the twin for a removal to count as one; after 3 dB, 71% of the distance is left."""
NO_TWIN = "no lesion-free twin known that differs from its mammogram inside the lesion"
MISSING = {
    GENERATOR: "no adversarial images (remove)",
    TWIN: NO_TWIN,
    IDENTITY: "not trained",
}
"""Why a row of the controls may be empty."""


def spread(
    values: Sequence[float | None], patients: Sequence[str], resampling: Resampling
) -> dict[str, float | int | None]:
    """Return median with its 95% interval, quartiles and mean of the known values; ``patients``: whose each one is."""
    own = [(value, patient) for value, patient in zip(values, patients, strict=True) if value is not None]
    known = np.array([value for value, _ in own], dtype=float)
    if not own:
        names = ("median", "median_low", "median_high", "low_quartile", "high_quartile", "mean")
        return {"images": 0, **dict.fromkeys(names)}
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    median_low, median_high = resampling.median_interval(known, [patient for _, patient in own]) or (None, None)
    return {
        "images": len(known),
        "median": float(middle),
        "median_low": median_low,
        "median_high": median_high,
        "low_quartile": float(low),
        "high_quartile": float(high),
        "mean": float(np.mean(known)),
    }


def removal_summary(
    changes: Sequence[Change], patients: Sequence[str], resampling: Resampling
) -> dict[str, Any] | None:
    """Return the spread of each measure of Removal over the images that have it; None if no lesions are known.

    ``patients``: whose image each change is of.
    """
    removals = [c.removal for c in changes if c.removal]
    own = [patient for patient, c in zip(patients, changes, strict=True) if c.removal]
    if not removals:
        return None
    names = ("energy_near", "area_near", "untouched", "removed", "progress", "closer_db")
    found = {
        WAY if name == "progress" else name: spread([getattr(r, name) for r in removals], own, resampling)
        for name in names
    }
    return {"images": len(removals), **found, "three_db": dataclasses.asdict(three_db(removals, own))}


def three_db(removals: Sequence[Removal | None], patients: Sequence[str]) -> Figure:
    """Return the share of removals that came at least CLOSER_DB closer to the twin, among those with a twin."""
    known = np.array([r is not None and r.closer_db is not None for r in removals], bool)
    closer = np.array([bool(r and r.closer_db is not None and r.closer_db >= CLOSER_DB) for r in removals], bool)
    return clustered_share(closer, known, patients, NO_TWIN)


SHAPE = ("in_disc", "blobs", "peak")
"""Measures of an insertion that need no truth."""
NOT_MEASURED = "the blob detector needs pixels of a known size and negatives that it can be compared with"


def insertion_summary(scored: Sequence[Scored], threshold: float, resampling: Resampling) -> dict[str, Any] | None:
    """Summarise the shape of insertions, and compare how often the blob detector finds them and real lesions; None
    without insertions. A blob counts as found if its response exceeds those of 80% of the real negatives."""
    inserted = [s.change.insertion for s in scored if s.change and s.change.insertion]
    whose = [s.real.patient for s in scored if s.change and s.change.insertion]
    if not inserted:
        return None
    level = blob_threshold(s.blob.response for s in scored if s.real.label == "negative" and s.blob)
    patients = [s.real.patient for s in scored]
    seen = level is not None
    own = np.array([bool(seen and s.change and (i := s.change.insertion) and i.response is not None) for s in scored])
    found = np.array([_found(s, level) for s in scored])
    right = np.array([s.real.label == "negative" and s.real.probability <= threshold for s in scored])
    turned = np.array([s.fake is not None and s.fake.probability > threshold for s in scored])
    lesion = np.array([bool(seen and s.blob and s.blob.at_lesion is not None) for s in scored])
    at_lesion = np.array([bool(s.blob and s.blob.at_lesion and _above(s.blob.response, level)) for s in scored])
    figures = {
        "found": clustered_share(found, own, patients, NOT_MEASURED),
        "found_and_fooled": clustered_share(
            *(found & turned, own & right, patients),
            "the CAD called no negative correctly" if own.any() else NOT_MEASURED,
        ),
        "real_lesions_found": clustered_share(at_lesion, lesion, patients, "no lesion has a known place"),
    }
    return {
        "images": len(inserted),
        **{name: spread([getattr(i, name) for i in inserted], whose, resampling) for name in SHAPE},
        "blob_threshold": level,
        **{name: dataclasses.asdict(figure) for name, figure in figures.items()},
    }


def _found(scored: Scored, level: float | None) -> bool:
    insertion = scored.change.insertion if scored.change else None
    return bool(insertion and insertion.at_centre and _above(insertion.response, level))


def _above(response: float | None, level: float | None) -> bool:
    return response is not None and level is not None and response > level


def control_summary(
    scored: Sequence[Scored],
    controls: Sequence[ControlScore] | None,
    threshold: float,
    resampling: Resampling,
    lost: Mapping[str, str] | None = None,
) -> dict[str, Any] | None:
    """Summarise the generator's removals and each control by the same measures; None if no controls were measured.

    A row without images has a reason: of ``lost``, else of MISSING.
    """
    real = {s.real.key: s for s in scored if s.real.label == "positive"}
    if controls is None or not real:
        return None
    patients = [s.real.patient for s in real.values()]
    right = np.array([s.real.probability > threshold for s in real.values()])
    generator = {
        s.real.key: (s.fake.probability, s.change.removal if s.change else None)
        for s in real.values()
        if s.fake and s.fake.direction == Direction.REMOVE
    }
    kinds = {GENERATOR: generator} | {
        name: {c.key: (c.probability, c.removal) for c in controls if c.control == name} for name in NAMES
    }

    reasons = MISSING | dict(lost or {})

    def row(name: str, of: Mapping[str, tuple[float, Removal | None]]) -> dict[str, Any]:
        there = np.array([key in of for key in real])
        fooled = np.array([key in of and of[key][0] <= threshold for key in real])
        removals, whose = [removal for _, removal in of.values()], [real[key].real.patient for key in of]
        why = "the CAD called no positive mammogram correctly" if of else reasons.get(name, "not measured")
        return {
            "images": len(of),
            "reason": "" if of else reasons.get(name, "not measured"),
            "fooled": dataclasses.asdict(clustered_share(fooled, there & right, patients, why)),
            "energy_near": spread([r.energy_near if r else None for r in removals], whose, resampling),
            "closer_db": spread([r.closer_db if r else None for r in removals], whose, resampling),
            "three_db": dataclasses.asdict(three_db(removals, whose)),
        }

    return {name: row(name, of) for name, of in kinds.items()}
